//! Runs many small jobs, a few at a time.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Attempts wait more than they work; more at once and their own time limits are met.
fn workers() -> usize {
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    (cores * 2).clamp(2, 8)
}

/// Does every job and gives the results in the jobs' order. The first failure is returned when all are done.
pub(super) fn each<J: Sync, R: Send>(
    jobs: &[J],
    work: impl Fn(&J) -> anyhow::Result<R> + Sync,
) -> anyhow::Result<Vec<R>> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(jobs.len()));
    std::thread::scope(|scope| {
        for _ in 0..workers() {
            scope.spawn(|| {
                while let Some((at, job)) = take(jobs, &next) {
                    let result = work(job);
                    done.lock()
                        .unwrap_or_else(std::sync::PoisonError::into_inner)
                        .push((at, result));
                }
            });
        }
    });
    let mut done = done
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

fn take<'a, J>(jobs: &'a [J], next: &AtomicUsize) -> Option<(usize, &'a J)> {
    let at = next.fetch_add(1, Ordering::Relaxed);
    Some((at, jobs.get(at)?))
}

#[cfg(test)]
mod tests {
    use super::each;

    #[test]
    fn every_job_is_done_once_and_results_keep_their_order() {
        let jobs: Vec<usize> = (0..100).collect();
        assert_eq!(each(&jobs, |job| Ok(*job)).unwrap(), jobs);
        assert!(
            each(&jobs, |job| if *job == 50 {
                anyhow::bail!("no")
            } else {
                Ok(())
            })
            .is_err()
        );
    }
}
