//! Whether the time of a refusal tells what was wrong with the input.
//!
//! Two classes of input, in random order, each timed alone; Welch's t-test says whether their times
//! differ (Reparaz, Balasch, Verbauwhede, "Dude, is my code constant time?", 2017). Below 4.5 no
//! difference was found; above 10 there is one. The controls leak on purpose, to show that this
//! machine would show it. Evidence, not proof.
//!
//! `cargo bench -p vaultcore-core --bench timing`, or with the number of samples after `--`.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a benchmark prints, stops where it cannot go on, and counts below 2^52"
)]

use std::env;
use std::hint::black_box;
use std::time::Instant;

use vaultcore_core::context::Context;
use vaultcore_core::envelope::{Content, Suite};
use vaultcore_core::kek::{KeyEncryptionKey, OpenJob};
use vaultcore_core::key::{Algorithm, Export, Key, Shape};

const SAMPLES: usize = 1_000_000;
/// A private operation of RSA takes this many times as long as the others.
const SLOW: usize = 20;
/// Different inputs of a class, so that none of them has a time of its own.
const POOL: usize = 256;

type Work<'a> = Box<dyn Fn(&[u8]) + 'a>;

/// What is timed, and what tells it apart.
struct Subject<'a> {
    name: &'static str,
    /// What the two classes of input are.
    classes: &'static str,
    slower_by: usize,
    pools: [Vec<Vec<u8>>; 2],
    work: Work<'a>,
}

fn main() {
    let samples = env::args()
        .find_map(|word| word.parse().ok())
        .unwrap_or(SAMPLES);
    let message = KeyEncryptionKey::generate(Suite::GcmSiv).unwrap();
    let key_wrap = KeyEncryptionKey::generate(Suite::AesKw).unwrap();
    let aes = Key::generate("oct", Shape::Size(256), Export::Refused).unwrap();
    let hmac = Key::generate("oct", Shape::Size(512), Export::Refused).unwrap();
    let rsa = Key::generate("RSA", Shape::Size(2048), Export::Refused).unwrap();
    let subjects = [
        control(),
        forged("commitment of an envelope", &message, 98..130),
        forged("suite 1, tag of the wrapped data key", &message, 70..86),
        forged("suite 2, wrapped data key", &key_wrap, 26..66),
        kwp(&aes),
        mac(&hmac),
        oaep(&rsa),
        unpadding(&aes),
    ];
    println!("{:>7}  {:>9}  what, and the classes", "|t|", "samples");
    for subject in subjects {
        let samples = samples / subject.slower_by;
        let found = largest_t(&subject, samples);
        println!(
            "{found:>7.1}  {samples:>9}  {}: {}",
            subject.name, subject.classes
        );
    }
}

/// Stops at the first difference, as no comparison of a secret may.
fn control() -> Subject<'static> {
    let secret = random(32);
    let pools = [changed(&secret, 0), changed(&secret, 31)];
    Subject {
        name: "control",
        classes: "a comparison that stops at the first difference, at the start or at the end",
        slower_by: 1,
        pools,
        work: Box::new(move |shown| {
            let mut same = true;
            for (one, other) in secret.iter().zip(shown) {
                if black_box(one) != black_box(other) {
                    same = false;
                    break;
                }
            }
            black_box(same);
        }),
    }
}

fn forged<'a>(
    name: &'static str,
    kek: &'a KeyEncryptionKey,
    place: std::ops::Range<usize>,
) -> Subject<'a> {
    let sealed = kek
        .seal(Content::Message, &[0x61; 64], &Context::EMPTY)
        .unwrap();
    Subject {
        name,
        classes: "its first byte is wrong, or its last",
        slower_by: 1,
        pools: [
            changed(&sealed, place.start),
            changed(&sealed, place.end - 1),
        ],
        work: opening(kek),
    }
}

fn opening(kek: &KeyEncryptionKey) -> Work<'_> {
    Box::new(move |blob| {
        let mut out = [0; 64];
        let job = OpenJob {
            blob,
            context: &Context::EMPTY,
            out: &mut out,
        };
        assert!(kek.open_into(Content::Message, job).is_err());
    })
}

fn kwp(key: &Key) -> Subject<'_> {
    let algorithm = Algorithm::parse("A256KWPAD").unwrap();
    let wrapped = key.wrap(algorithm, &[7; 30]).unwrap();
    Subject {
        name: "A256KWPAD, unwrapping",
        classes: "a wrapped key with one wrong bit, or any bytes",
        slower_by: 1,
        pools: [
            changed(&wrapped, 0),
            (0..POOL).map(|_| random(wrapped.len())).collect(),
        ],
        work: Box::new(move |wrapped| assert!(key.unwrap(algorithm, wrapped).is_err())),
    }
}

fn mac(key: &Key) -> Subject<'_> {
    let algorithm = Algorithm::parse("HS256").unwrap();
    let tag = key.sign(algorithm, &[7; 32]).unwrap();
    Subject {
        name: "HS256, verifying",
        classes: "the first byte is wrong, or the last",
        slower_by: 1,
        pools: [changed(&tag, 0), changed(&tag, 31)],
        work: Box::new(move |tag| assert!(!key.verify(algorithm, &[7; 32], tag).unwrap())),
    }
}

/// Manger's oracle (CRYPTO 2001): whether the first byte of the padding is zero.
fn oaep(key: &Key) -> Subject<'_> {
    let algorithm = Algorithm::parse("RSA-OAEP-256").unwrap();
    let other = Algorithm::parse("RSA-OAEP").unwrap();
    let other_hash = || key.encrypt(other, &[7; 32], None, &[]).unwrap().ciphertext;
    Subject {
        name: "RSA-OAEP-256, decrypting",
        classes: "the padding begins with zero and is of another hash, or it is any bytes",
        slower_by: SLOW,
        pools: [
            (0..POOL).map(|_| other_hash()).collect(),
            // A first byte of zero keeps the number below any modulus of this size.
            (0..POOL).map(|_| [vec![0], random(255)].concat()).collect(),
        ],
        work: Box::new(move |ciphertext| {
            assert!(key.decrypt(algorithm, ciphertext, None, None, &[]).is_err());
        }),
    }
}

/// What is not promised, and why CBC is for compatibility alone: see docs/keys.md.
fn unpadding(key: &Key) -> Subject<'_> {
    let padded = Algorithm::parse("A256CBCPAD").unwrap();
    let bare = Algorithm::parse("A256CBC").unwrap();
    let nonce = [9; 16];
    let of = |block: [u8; 16]| {
        let blocks = [[0x61; 16], block].concat();
        let made = key.encrypt(bare, &blocks, Some(&nonce), &[]).unwrap();
        vec![made.ciphertext; POOL]
    };
    let mut first_wrong = [16; 16];
    first_wrong[0] = 1;
    let mut last_wrong = [16; 16];
    last_wrong[15] = 0;
    Subject {
        name: "A256CBCPAD, decrypting (nothing is promised)",
        classes: "the first byte of the padding is wrong, or the last",
        slower_by: 1,
        pools: [of(first_wrong), of(last_wrong)],
        work: Box::new(move |ciphertext| {
            assert!(key
                .decrypt(padded, ciphertext, Some(&nonce), None, &[])
                .is_err());
        }),
    }
}

/// The largest |t| over all samples and over those below some percentiles: interrupts make a few
/// samples long, which hides a difference of the others.
fn largest_t(subject: &Subject<'_>, samples: usize) -> f64 {
    let mut times = [Vec::with_capacity(samples), Vec::with_capacity(samples)];
    let order = random(2 * samples);
    let mut input = subject.pools[0][0].clone();
    for (round, drawn) in order.chunks_exact(2).enumerate() {
        let class = usize::from(drawn[0] & 1);
        // Each from the same place in memory.
        input.copy_from_slice(&subject.pools[class][usize::from(drawn[1]) % POOL]);
        let start = Instant::now();
        (subject.work)(black_box(&input));
        let taken = start.elapsed().as_nanos();
        if round >= samples / 100 {
            times[class].push(taken as f64);
        }
    }
    let mut all: Vec<f64> = times.iter().flatten().copied().collect();
    all.sort_by(f64::total_cmp);
    [50, 75, 90, 95, 99, 100]
        .iter()
        .map(|percent| {
            let most = all[(all.len() - 1) * percent / 100];
            let [one, other] = times
                .each_ref()
                .map(|class| class.iter().copied().filter(|time| *time <= most).collect());
            welch(&one, &other).abs()
        })
        .fold(0.0, f64::max)
}

fn welch(one: &Vec<f64>, other: &Vec<f64>) -> f64 {
    let moments = |times: &Vec<f64>| {
        let count = times.len() as f64;
        let mean = times.iter().sum::<f64>() / count;
        let squares: f64 = times.iter().map(|time| (time - mean).powi(2)).sum();
        (mean, squares / (count - 1.0) / count)
    };
    let ((mean, variance), (other_mean, other_variance)) = (moments(one), moments(other));
    (mean - other_mean) / (variance + other_variance).sqrt()
}

fn changed(bytes: &[u8], place: usize) -> Vec<Vec<u8>> {
    (0..POOL)
        .map(|number| {
            let mut bytes = bytes.to_vec();
            bytes[place] ^= 1 << (number % 8);
            bytes
        })
        .collect()
}

fn random(size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    aws_lc_rs::rand::fill(&mut bytes).unwrap();
    bytes
}
