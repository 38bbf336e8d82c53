//! What is remembered of one child, for people.

use super::news::ChildNews;
use crate::io::{ChildEvent, Exit, Output};
use crate::status::ChildStatus;
use crate::time::{Duration, Instant};
use alloc::collections::VecDeque;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// One child.
#[derive(Clone, Debug, Default)]
pub(super) struct Life {
    /// Counts its lives: what ended by itself runs again only under another number.
    pub(super) run: u64,
    running: Option<Running>,
    restarts: u64,
    last_exit: Option<String>,
    /// It was told to end, and did.
    was_asked: bool,
    /// What it said of new files, which it does not run with.
    pub(super) refused: Option<String>,
    /// Why the system's own questions do not go to it.
    pub(super) hindered: Option<String>,
    /// What was last told of either.
    told_refused: Option<ChildNews>,
    told_hindered: Option<ChildNews>,
    words: VecDeque<String>,
    missed: u64,
    /// When an end was last told, how long the next ones are not, and how many were not since.
    told: Option<Instant>,
    pause: Duration,
    untold: u64,
}

#[derive(Clone, Debug)]
struct Running {
    pid: u32,
    since: Instant,
}

impl Life {
    pub(super) fn take(
        &mut self,
        now: Instant,
        name: &str,
        event: &ChildEvent,
        out: &mut Vec<Output>,
    ) {
        let child = || name.to_string();
        match event {
            ChildEvent::Began { pid, is_adopted, age } => {
                (self.was_asked, self.refused) = (false, None);
                self.running = Some(Running { pid: *pid, since: now - *age });
                if self.untold == 0 {
                    let (pid, adopted) = (*pid, *is_adopted);
                    out.push(Output::tell(ChildNews::Started { child: child(), pid, adopted }));
                }
            }
            ChildEvent::Said { line, missed } => {
                self.missed = self.missed.saturating_add(*missed);
                self.words.push_back(line.clone());
                if self.words.len() > WORDS {
                    self.words.pop_front();
                }
                out.push(Output::tell(ChildNews::Said { child: child(), line: line.clone() }));
            }
            ChildEvent::Reloaded => {
                self.ask_again();
                out.push(Output::tell(ChildNews::Reloaded { child: child() }));
            }
            ChildEvent::Refused { why } => {
                self.refused = Some(why.clone());
                let news = ChildNews::Refused { child: child(), why: why.clone() };
                tell_once(&mut self.told_refused, news, out);
            }
            ChildEvent::Hindered { why } => {
                self.hindered.clone_from(why);
                let news = ChildNews::Hindered { child: child(), why: why.clone() };
                tell_once(&mut self.told_hindered, news, out);
            }
            ChildEvent::Ended { exit, was_asked: true } => {
                (self.hindered, self.told_hindered) = (None, None);
                (self.running, self.was_asked) = (None, true);
                self.untold = 0;
                self.last_exit = Some(exit.to_string());
                out.push(Output::tell(ChildNews::Stopped { child: child() }));
            }
            ChildEvent::Ended { exit, was_asked: false } => self.fail(now, child(), exit, out),
        }
    }

    /// Whether its program takes other files is not known yet.
    pub(super) fn ask_again(&mut self) {
        (self.refused, self.told_refused) = (None, None);
    }

    fn fail(&mut self, now: Instant, child: String, exit: &Exit, out: &mut Vec<Output>) {
        if self.age(now) >= BETWEEN {
            self.pause = BETWEEN;
        }
        (self.running, self.was_asked) = (None, false);
        self.run += 1;
        self.restarts = self.restarts.saturating_add(1);
        self.untold += 1;
        let exit = exit.to_string();
        self.last_exit = Some(exit.clone());
        let pause = self.pause.max(BETWEEN);
        if self.told.is_some_and(|told| now.since(told) < pause) {
            return;
        }
        self.told = Some(now);
        self.pause = (pause * 2).min(MOST_BETWEEN);
        let times = core::mem::take(&mut self.untold);
        let words = self.words.back().cloned();
        out.push(Output::tell(ChildNews::Ended { child, exit, words, times }));
    }

    /// It ended because nobody wants it any more.
    pub(super) const fn is_over(&self) -> bool {
        self.running.is_none() && self.was_asked
    }

    pub(super) const fn is_running(&self) -> bool {
        self.running.is_some()
    }

    pub(super) fn age(&self, now: Instant) -> Duration {
        self.running.as_ref().map(|running| now.since(running.since)).unwrap_or_default()
    }

    pub(super) fn status(&self, now: Instant, name: String, is_wanted: bool) -> ChildStatus {
        ChildStatus {
            name,
            pid: self.running.as_ref().map(|running| running.pid),
            running_s: self.running.as_ref().map(|running| now.since(running.since).as_secs()),
            is_wanted,
            restarts: self.restarts,
            last_exit: self.last_exit.clone(),
            refused: self.refused.clone(),
            hindered: self.hindered.clone(),
            last_words: self.words.iter().cloned().collect(),
            missed_lines: self.missed,
        }
    }
}

/// A loop of crashes says the same each time.
fn tell_once(told: &mut Option<ChildNews>, news: ChildNews, out: &mut Vec<Output>) {
    if told.as_ref() != Some(&news) {
        *told = Some(news.clone());
        out.push(Output::tell(news));
    }
}

/// So many lines are remembered.
const WORDS: usize = 10;
/// Between two log lines about ends that nobody asked for.
const BETWEEN: Duration = Duration::from_secs(60);
/// The same in the end, where it ends again and again.
const MOST_BETWEEN: Duration = Duration::from_secs(3600);
