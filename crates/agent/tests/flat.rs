//! Taking in a record costs the same however long the session is.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use common::Player;
use recto_protocol::profile::Profile;
use recto_protocol::record::StepStarted;
use recto_protocol::settings::Settings;

thread_local! {
    static ALLOCATED: Cell<usize> = const { Cell::new(0) };
}

/// Counts the bytes that a thread asks for. Growing a buffer in place of copying is not counted,
/// so that the amortised growth of the history does not blur the picture.
struct Counting;

// SAFETY: every call goes to the system's allocator with the caller's own arguments.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // Ignored while the thread ends and its counter is gone.
        let _ = ALLOCATED.try_with(|count| count.set(count.get() + layout.size()));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn ten_thousand_steps_cost_the_same_each() {
    let profile = Profile {
        context_window: 1 << 40,
        ..Profile::default()
    };
    let mut player = Player::new(Settings {
        profile,
        ..common::settings()
    });
    player.play("user go");
    for n in 0..10_000 {
        // Names of one length, so that steps are alike to the byte.
        player.apply(StepStarted { step: n + 1 });
        player.play(&format!("call c{n:05}"));
        player.play("done 1000");
        player.play(&format!("out c{n:05} some output"));
    }
    let records = player.records;
    let mut session = recto_agent::Session::start(common::settings());
    let costs: Vec<usize> = records
        .iter()
        .map(|record| {
            let before = ALLOCATED.get();
            session.apply(record);
            ALLOCATED.get() - before
        })
        .collect();
    // The first records set up buffers; then a step is four records.
    let step = |n: usize| costs[2 + 4 * n..][..4].iter().sum::<usize>();
    let early = step(10);
    assert!(early > 0 && early < 20_000, "{early}");
    for n in [100, 1_000, 5_000, 9_999] {
        assert_eq!(step(n), early, "step {n}");
    }
}
