// The steps of a round: a line for each that holds, an exception for the first that does not.

export async function step(name, check) {
  try {
    await check();
  } catch (error) {
    throw new Error(`${name}: ${error.message}`, { cause: error });
  }
  console.log(`ok ${name}`);
}

/** Checks that the service refuses with this status, code and inner code. */
export async function refused(call, status, code, inner) {
  let answer;
  try {
    answer = await call();
  } catch (error) {
    if (error.statusCode === undefined) {
      throw error;
    }
    const told = error.details?.error;
    const seen = [error.statusCode, told?.code, told?.innerError?.code];
    if (seen[0] !== status || seen[1] !== code || seen[2] !== inner) {
      throw new Error(`expected ${[status, code, inner]}, got ${seen}`);
    }
    return;
  }
  throw new Error(`expected a refusal with status ${status}, got ${Object.keys(answer)}`);
}
