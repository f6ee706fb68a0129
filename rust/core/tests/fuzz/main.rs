//! A short fuzzing run without a fuzzer: the seeds, and mutations of them that are always the same.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on stops here"
)]

mod targets;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use base64::engine::general_purpose::STANDARD;
use base64::Engine as _;
use targets::{Target, ALL};
use vaultcore_core::context::Context;
use vaultcore_core::envelope::{Content, Suite};
use vaultcore_core::key::{Export, Key, Shape};

/// Enough for some thousand inputs a target; a slow machine does fewer.
const TIME: Duration = Duration::from_millis(700);
const MUTATIONS: u64 = 20_000;

#[test]
fn every_seed_is_taken_whole_and_mutated() {
    for (name, target) in ALL {
        let seeds = seeds(name);
        assert!(!seeds.is_empty(), "no seeds for {name}");
        for seed in &seeds {
            target(seed);
        }
        mutate((name, target), &seeds);
    }
}

/// Cut at every byte, and each byte changed: what an attacker tries first.
#[test]
fn short_seeds_are_cut_and_changed_everywhere() {
    for (name, target) in ALL {
        let started = Instant::now();
        for seed in seeds(name) {
            let step = (seed.len() / 200).max(1);
            for place in (0..seed.len()).step_by(step) {
                if started.elapsed() > TIME {
                    break;
                }
                target(&seed[..place]);
                let mut changed = seed.clone();
                changed[place] ^= 1 << (place % 8);
                target(&changed);
            }
        }
    }
}

fn mutate((_, target): Target, seeds: &[Vec<u8>]) {
    let started = Instant::now();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..MUTATIONS {
        if started.elapsed() > TIME {
            return;
        }
        let mut input = random.choose(seeds).clone();
        for _ in 0..=random.below(4) {
            random.change(&mut input, seeds);
        }
        target(&input);
    }
}

/// Xorshift: mutations need no good randomness, but the same on every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit.max(1) as u64).unwrap()
    }

    fn choose<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    fn change(&mut self, input: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let place = self.below(input.len() + 1);
        let size = self.below(9).min(input.len() - place);
        match self.below(6) {
            0 if place < input.len() => input[place] ^= 1 << self.below(8),
            1 if place < input.len() => input[place] = *self.choose(b"\0\x01\x7f\x80\xff{\"%/-=\n"),
            2 => input.truncate(place),
            3 => drop(input.drain(place..place + size)),
            4 => {
                let copy = input[place..place + size].to_vec();
                input.splice(place..place, copy);
            }
            _ => {
                let other = self.choose(seeds).clone();
                let from = self.below(other.len() + 1);
                let upto = (from + 1 + self.below(16)).min(other.len());
                input.splice(place..place, other[from..upto].iter().copied());
            }
        }
    }
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/seeds")
        .join(name)
}

fn seeds(name: &str) -> Vec<Vec<u8>> {
    let mut paths: Vec<_> = fs::read_dir(folder(name))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Writes the seeds that cannot be written by hand. Run it after a change of a format:
/// `cargo test -p vaultcore-core --test fuzz -- --ignored`
#[test]
#[ignore = "writes the seeds"]
fn write_seeds() {
    let write = |target: &str, name: &str, content: &[u8]| {
        fs::create_dir_all(folder(target)).unwrap();
        fs::write(folder(target).join(name), content).unwrap();
    };
    for (name, suite) in [("suite-1", Suite::GcmSiv), ("suite-2", Suite::AesKw)] {
        let kek = targets::kek(suite);
        let sealed = kek.seal(Content::Message, b"a message", &Context::EMPTY);
        write("envelope", name, &sealed.unwrap());
        write(
            "envelope",
            &format!("{name}-kek"),
            &kek.wrap_under(&kek).unwrap(),
        );
    }
    for (name, size) in [("empty", 0), ("short", 100), ("segments", 65_536 + 5)] {
        let sealed = targets::seal_stream(&vec![0x61; size]);
        write("stream", name, &[&[63][..], &sealed].concat());
    }
    for (name, kty, shape) in [
        ("rsa", "RSA", Shape::Size(2048)),
        ("p-256", "EC", Shape::Curve("P-256")),
        ("p-256k", "EC", Shape::Curve("P-256K")),
        ("p-521", "EC", Shape::Curve("P-521")),
        ("ed25519", "OKP", Shape::Curve("Ed25519")),
        ("x25519", "OKP", Shape::Curve("X25519")),
        ("ml-dsa-44", "AKP", Shape::Algorithm("ML-DSA-44")),
        ("oct", "oct", Shape::Size(256)),
    ] {
        let key = Key::generate(kty, shape, Export::Allowed).unwrap();
        let members: Vec<_> = key
            .export_private_jwk()
            .unwrap()
            .iter()
            .map(|(name, value)| format!("\"{name}\":\"{}\"", value.as_str()))
            .collect();
        write("jwk", name, format!("{{{}}}", members.join(",")).as_bytes());
        if let (Ok(der), Ok(pem)) = (key.public_der(), key.export_private_pem()) {
            write("der", name, &der);
            write("pem", name, pem.as_bytes());
            let body: String = pem.lines().filter(|line| !line.contains('-')).collect();
            let private = STANDARD.decode(body).unwrap();
            write("der", &format!("{name}-private"), &private);
        }
    }
    for (name, content) in [
        (
            "object",
            r#"{"value":"x","attributes":{"enabled":true,"exp":1700000000},"tags":{}}"#,
        ),
        (
            "numbers",
            r#"{"a":[1,-2.5e3,0,null,false],"\u0061b":"\ud83d\ude00"}"#,
        ),
    ] {
        write("json", name, content.as_bytes());
    }
    for (name, content) in [
        (
            "get",
            "GET\n/secrets/name/0123456789abcdef0123456789abcdef\napi-version=7.4",
        ),
        (
            "list",
            "GET\n/keys\napi%2Dversion=2025-07-01&maxresults=25&$skiptoken=abc",
        ),
        ("sign", "POST\n/keys/name//sign\napi-version=7.4"),
        (
            "certificate",
            "GET\n/certificates/name/policy\napi-version=7.4&includePending=true",
        ),
    ] {
        write("operation", name, content.as_bytes());
    }
    write(
        "context",
        "fields",
        b"\x24a1234\x48bb12345678\x21c\xff\x20d\x65abchello\x42xy\xff\xfe",
    );
}
