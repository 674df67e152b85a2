//! Any bytes at either end of the cell protocol.
#![no_main]

use libfuzzer_sys::fuzz_target;
use recto_cell::fuzzing::{from_cell, from_harness};

fuzz_target!(|input: &[u8]| {
    match input.split_first() {
        Some((side, stream)) if side % 2 == 0 => from_cell(stream),
        Some((_, stream)) => from_harness(stream),
        None => {}
    }
});
