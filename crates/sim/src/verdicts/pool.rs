//! Work on all processors: the results come in the order of the work, whoever did it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;

/// Does `work(0)` to `work(count - 1)` on so many threads.
pub(super) fn each<T: Send>(jobs: usize, count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let (sender, results) = channel();
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            let (sender, next, work) = (sender.clone(), &next, &work);
            scope.spawn(move || {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= count || sender.send((index, work(index))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut done: Vec<(usize, T)> = results.iter().collect();
        done.sort_by_key(|(index, _)| *index);
        done.into_iter().map(|(_, result)| result).collect()
    })
}

#[cfg(test)]
mod tests {
    /// Given more threads than one, then the results come in the order of the work.
    #[test]
    fn results_come_in_order() {
        assert_eq!(super::each(3, 100, |i| i * i), (0..100).map(|i| i * i).collect::<Vec<_>>());
    }
}
