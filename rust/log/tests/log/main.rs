//! The log on real files: its chain, its segments, its place, its writers, its space.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops here")]

mod chain;
mod folder;
mod place;
mod segments;
mod space;
mod tester;
mod trust;
mod writers;
