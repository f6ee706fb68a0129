/*
 * A PKCS#11 module that forwards to another one and fails on demand.
 *
 * VAULTCORE_SHIM_MODULE  the module to forward to
 * VAULTCORE_SHIM_PLAN    a file with one line: FUNCTION NTH ACTION [VALUE]
 *                          FUNCTION  the name of a function, or * for any
 *                          NTH       the how-manieth call of this process, -1 for the next call,
 *                                    or 0 for every call; a plan for one call is removed when it
 *                                    was carried out
 *                          ACTION    return CODE | sleep MILLISECONDS | crash | flags BITS
 * VAULTCORE_SHIM_LOG     a file that gets the name of every function called
 *
 * All arguments of PKCS#11 functions are words or pointers, so that a function is described by
 * how many it takes.
 */

#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef unsigned long word;

enum { FUNCTIONS = 68, FLAGS_OFFSET = 96, GENERAL_ERROR = 5 };

struct function_list {
    unsigned char version[2];
    void *function[FUNCTIONS];
};

static struct function_list *real;
static struct function_list mine;
static word total;

enum verdict { FORWARD, ANSWER, ADD_FLAGS };

static enum verdict consult(const char *name, word count, word *value) {
    char function[64] = "", action[32] = "";
    long nth = 0;
    const char *log = getenv("VAULTCORE_SHIM_LOG");
    const char *plan = getenv("VAULTCORE_SHIM_PLAN");
    FILE *file;

    total++;
    if (log && (file = fopen(log, "a"))) {
        fprintf(file, "%s\n", name);
        fclose(file);
    }
    if (!plan || !(file = fopen(plan, "r")))
        return FORWARD;
    *value = 0;
    int fields = fscanf(file, "%63s %ld %31s %li", function, &nth, action, (long *)value);
    fclose(file);
    if (fields < 3)
        return FORWARD;
    int any = !strcmp(function, "*");
    if (!any && strcmp(function, name))
        return FORWARD;
    if (nth > 0 && (word)nth != (any ? total : count))
        return FORWARD;
    if (nth)
        unlink(plan);
    if (!strcmp(action, "crash"))
        raise(SIGSEGV);
    if (!strcmp(action, "sleep")) {
        struct timespec pause = {*value / 1000, *value % 1000 * 1000000};
        nanosleep(&pause, NULL);
        return FORWARD;
    }
    return strcmp(action, "flags") ? ANSWER : ADD_FLAGS;
}

#define TYPES_1 word
#define TYPES_2 TYPES_1, word
#define TYPES_3 TYPES_2, word
#define TYPES_4 TYPES_3, word
#define TYPES_5 TYPES_4, word
#define TYPES_8 TYPES_5, word, word, word
#define TAKES_1 word a
#define TAKES_2 TAKES_1, word b
#define TAKES_3 TAKES_2, word c
#define TAKES_4 TAKES_3, word d
#define TAKES_5 TAKES_4, word e
#define TAKES_8 TAKES_5, word f, word g, word h
#define GIVES_1 a
#define GIVES_2 GIVES_1, b
#define GIVES_3 GIVES_2, c
#define GIVES_4 GIVES_3, d
#define GIVES_5 GIVES_4, e
#define GIVES_8 GIVES_5, f, g, h

#define WRAPPED(X)                                                                                 \
    X(0, C_Initialize, 1)                                                                          \
    X(2, C_GetInfo, 1)                                                                             \
    X(4, C_GetSlotList, 3)                                                                         \
    X(5, C_GetSlotInfo, 2)                                                                         \
    X(6, C_GetTokenInfo, 2)                                                                        \
    X(12, C_OpenSession, 5)                                                                        \
    X(18, C_Login, 4)                                                                              \
    X(20, C_CreateObject, 4)                                                                       \
    X(22, C_DestroyObject, 2)                                                                      \
    X(24, C_GetAttributeValue, 4)                                                                  \
    X(26, C_FindObjectsInit, 3)                                                                    \
    X(27, C_FindObjects, 4)                                                                        \
    X(28, C_FindObjectsFinal, 1)                                                                   \
    X(29, C_EncryptInit, 3)                                                                        \
    X(30, C_Encrypt, 5)                                                                            \
    X(33, C_DecryptInit, 3)                                                                        \
    X(34, C_Decrypt, 5)                                                                            \
    X(42, C_SignInit, 3)                                                                           \
    X(43, C_Sign, 5)                                                                               \
    X(58, C_GenerateKey, 5)                                                                        \
    X(59, C_GenerateKeyPair, 8)

#define DEFINE(index, name, arity)                                                                 \
    static word shim_##name(TAKES_##arity) {                                                       \
        static word count;                                                                         \
        word value = 0;                                                                            \
        enum verdict verdict = consult(#name, ++count, &value);                                    \
        if (verdict == ANSWER)                                                                     \
            return value;                                                                          \
        word code = ((word(*)(TYPES_##arity))real->function[index])(GIVES_##arity);                \
        if (verdict == ADD_FLAGS && index == 6 && code == 0)                                       \
            *(word *)(((word[]){GIVES_##arity})[1] + FLAGS_OFFSET) |= value;                       \
        return code;                                                                               \
    }
WRAPPED(DEFINE)

word C_GetFunctionList(struct function_list **list) {
    const char *module = getenv("VAULTCORE_SHIM_MODULE");
    void *library = module ? dlopen(module, RTLD_NOW | RTLD_LOCAL) : NULL;
    word (*get)(struct function_list **);

    if (!library)
        return GENERAL_ERROR;
    get = (word(*)(struct function_list **))dlsym(library, "C_GetFunctionList");
    if (!get || get(&real) || !real)
        return GENERAL_ERROR;
    mine = *real;
#define REPLACE(index, name, arity) mine.function[index] = (void *)shim_##name;
    WRAPPED(REPLACE)
    *list = &mine;
    return 0;
}
