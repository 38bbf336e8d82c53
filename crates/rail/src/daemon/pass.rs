//! The loop: drain what is ready, let the core decide, perform, answer, sleep.
//!
//! Promises: inputs come before timers, so that a loop that was late does not
//! take its own sleep for a dead uplink; no client, disk, log or child can hold a
//! pass up; the watchdog is fed by a completed pass and by nothing else.

use super::RunOptions;
use super::api::Api;
use super::change::Then;
use super::event::EventRing;
use super::keeper::Keeper;
use super::log::Log;
use super::stop::Ending;
use super::vitals::Vitals;
use rail_core::notice::{Notice, Severity};
use rail_core::revision::Revisions;
use rail_core::status::{NotifierStatus, SelfStatus, Status};
use rail_core::time::{Duration, Instant};
use rail_core::{ChildId, Input, Output, Router};
use rail_linux::clock::{self, Timer};
use rail_linux::lock::Lock;
use rail_linux::notify_socket::{NotifySocket, watchdog_interval};
use rail_linux::poll::Poller;
use rail_linux::realtime;
use rail_linux::rescue::Rescue;
use rail_linux::shell::{Event, Shell};
use rail_linux::signal::{Signal, Signals};
use std::io;
use std::rc::Rc;

/// What a daemon is made of.
pub(super) struct Parts {
    pub(super) router: Router,
    pub(super) shell: Shell,
    pub(super) poller: Rc<Poller>,
    pub(super) timer: Timer,
    pub(super) signals: Signals,
    pub(super) api: Api,
    pub(super) log: Log,
    pub(super) manager: NotifySocket,
    pub(super) keeper: Keeper<Then>,
    pub(super) revisions: Revisions,
    pub(super) rescue: Option<Rescue>,
}

/// The daemon.
pub(super) struct Daemon {
    pub(super) options: RunOptions,
    pub(super) parts: Parts,
    /// Released before the sockets go, so that the next daemon can start at once.
    pub(super) lock: Lock,
    pub(super) ending: Ending,
    pub(super) ring: EventRing,
    /// The answer to the last question for the status, and when it was made.
    pub(super) last_status: Option<(Instant, String)>,
    /// What the notifier said of itself, and when.
    pub(super) notifier: Option<(Instant, NotifierStatus)>,
    /// A change of the configuration is between two of its steps.
    pub(super) is_changing: bool,
    /// What the disk said last to the history.
    pub(super) keep_error: Option<String>,
    early_notices: Vec<Notice>,
    watchdog: Option<(Duration, Instant)>,
    vitals: Vitals,
    realtime: bool,
    /// When it becomes real-time again, after it was slowed down.
    realtime_again: Option<Instant>,
    /// Passes in a row that ended with more to read, and therefore without a wake.
    crowded: u32,
    /// When the loop last slept.
    rested: Instant,
    pub(super) is_ready: bool,
    /// When the service manager hears of us at the latest.
    ready_by: Instant,
}

impl Daemon {
    pub(super) fn new(
        options: RunOptions,
        parts: Parts,
        lock: Lock,
        early_notices: Vec<Notice>,
        realtime: bool,
    ) -> Self {
        Self {
            options,
            parts,
            lock,
            ending: Ending::No,
            ring: EventRing::default(),
            last_status: None,
            notifier: None,
            is_changing: false,
            keep_error: None,
            early_notices,
            watchdog: watchdog_interval().map(|every| (every, Instant::ZERO)),
            vitals: Vitals::default(),
            realtime,
            realtime_again: None,
            crowded: 0,
            rested: clock::now(),
            is_ready: false,
            ready_by: clock::now() + READY_AFTER,
        }
    }

    /// Runs until it is told to end.
    ///
    /// # Errors
    /// The kernel refuses to wait; none are expected.
    pub(super) fn run(&mut self) -> io::Result<()> {
        for notice in std::mem::take(&mut self.early_notices) {
            self.tell(&notice);
        }
        let mut out = Vec::new();
        self.parts.router.start(clock::now(), &mut out);
        self.perform(&mut out);
        self.vitals.begin(clock::now());
        while !self.has_ended() {
            self.pass()?;
        }
        Ok(())
    }

    fn pass(&mut self) -> io::Result<()> {
        let deadline = self.deadline();
        let is_due = self.crowded > 0
            || self.parts.api.is_busy()
            || self.parts.shell.has_events()
            || deadline.is_some_and(|at| at <= clock::now());
        if !is_due {
            self.parts.timer.set(deadline)?;
        }
        let asked = self.rest();
        if !is_due && let Some(rescue) = &mut self.parts.rescue {
            rescue.sleeps(deadline)?;
        }
        let ready = self.parts.poller.wait(!is_due)?;
        if let Some(rescue) = &self.parts.rescue {
            rescue.woke();
        }
        let begun = clock::now();
        if begun.since(asked) >= realtime::PAUSE {
            self.rested = begun;
        }
        for ready in ready {
            match ready.token {
                TOKEN_TIMER => self.parts.timer.clear(),
                TOKEN_SIGNALS => self.take_signals(),
                TOKEN_KEEPER => self.take_answers(),
                super::api::FIRST_TOKEN.. => self.parts.api.ready(&self.parts.poller, ready),
                _ => self.parts.shell.ready(ready),
            }
        }
        let is_drained = self.drain();
        // A flood may put the timers off for some passes, not for ever.
        self.crowded = if is_drained { 0 } else { self.crowded + 1 };
        if is_drained || self.crowded > MOST_CROWDED {
            self.note_lag(deadline);
            self.wake();
        }
        self.keep_time();
        self.serve();
        self.return_to_realtime();
        self.finish_pass(begun);
        Ok(())
    }

    /// A flood, be it of questions by anybody on the machine, keeps the loop awake; the kernel would
    /// take that for a defect. The time after it.
    fn rest(&mut self) -> Instant {
        let now = clock::now();
        if now.since(self.rested) < realtime::WITHOUT_PAUSE {
            return now;
        }
        realtime::pause();
        self.rested = clock::now();
        self.rested
    }

    /// Notes how late what was due is served; [`Instant::ZERO`] says only that there is work.
    fn note_lag(&mut self, deadline: Option<Instant>) {
        let now = clock::now();
        if let Some(deadline) = deadline.filter(|at| *at > Instant::ZERO && *at <= now)
            && let Some(notice) = self.vitals.served(deadline, now)
        {
            self.tell(&notice);
        }
    }

    /// Feeds the core what the shell has, at most [`INPUTS_PER_PASS`]; true if that was all.
    fn drain(&mut self) -> bool {
        let mut out = Vec::new();
        for _ in 0..INPUTS_PER_PASS {
            match self.parts.shell.next_event() {
                Some(Event::Input(input)) => {
                    self.parts.router.handle(clock::now(), input, &mut out);
                    self.perform(&mut out);
                }
                Some(Event::Notice(notice)) => self.tell(&notice),
                Some(Event::Done) => self.withdrawn(),
                None => return true,
            }
        }
        false
    }

    /// Lets the core decide until it has nothing more to do at this moment.
    fn wake(&mut self) {
        let now = clock::now();
        self.parts.shell.wake(now);
        let mut out = Vec::new();
        for _ in 0..WAKES_PER_PASS {
            let now = clock::now();
            self.parts.router.wake(now, &mut out);
            self.perform(&mut out);
            if !self.drain() || self.parts.router.deadline().is_none_or(|at| at > now) {
                return;
            }
        }
    }

    pub(super) fn perform(&mut self, out: &mut Vec<Output>) {
        for output in out.drain(..) {
            self.parts.shell.perform(output);
        }
    }

    /// Hands an input of our own to the core.
    pub(super) fn handle(&mut self, input: Input) {
        let mut out = Vec::new();
        self.parts.router.handle(clock::now(), input, &mut out);
        self.perform(&mut out);
    }

    fn deadline(&self) -> Option<Instant> {
        let own = [
            self.parts.router.deadline(),
            self.parts.shell.deadline(),
            self.watchdog.map(|(_, at)| at),
            self.ending.deadline(),
            self.realtime_again,
            self.parts.api.deadline(),
            self.change_deadline(),
            Some(self.ready_by).filter(|_| !self.is_ready),
        ];
        own.into_iter().flatten().min()
    }

    fn take_signals(&mut self) {
        while let Some(signal) = self.parts.signals.next() {
            match signal {
                Signal::Stop => self.stop(),
                // The log says what is wrong; nobody else asked.
                Signal::Reload => self.reload(None, String::new()),
                Signal::TooLong => self.leave_realtime(),
            }
        }
    }

    fn leave_realtime(&mut self) {
        let text = match realtime::leave() {
            Ok(()) => {
                self.realtime_again = Some(clock::now() + NORMAL_FOR);
                "worked for a second without a pause; goes on with normal scheduling for a minute"
                    .into()
            }
            Err(e) => format!("worked for a second without a pause, and cannot slow down: {e}"),
        };
        self.realtime = false;
        self.tell(&Notice::daemon(Severity::Warn, text));
    }

    fn return_to_realtime(&mut self) {
        if self.realtime_again.is_none_or(|at| at > clock::now()) {
            return;
        }
        self.realtime_again = None;
        let (severity, text) = match realtime::enter(super::setup::PRIORITY) {
            Ok(()) => (Severity::Info, "goes on with real-time scheduling".into()),
            Err(e) => (Severity::Warn, format!("goes on with normal scheduling: {e}")),
        };
        self.realtime = severity == Severity::Info;
        self.tell(&Notice::daemon(severity, text));
    }

    /// Log, ring and followers, from one notice.
    pub(super) fn tell(&mut self, notice: &Notice) {
        let kept = notice.severity() <= Severity::Info;
        if !kept && !self.parts.log.wants(notice.severity()) {
            return;
        }
        let wall = clock::wall();
        self.parts.log.write(&wall, notice);
        if let Some(line) = self.ring.push(clock::now(), &wall, notice) {
            self.parts.api.publish(&self.parts.poller, &line);
        }
    }

    /// The status of router and daemon.
    pub(super) fn status(&self) -> Status {
        let now = clock::now();
        let ports = self.parts.shell.port_counters();
        let own = SelfStatus {
            realtime: self.realtime,
            log_dropped: self.parts.log.dropped(),
            probe_open_errors: ports.open_errors,
            probe_send_errors: ports.send_errors,
            probe_dropped: ports.dropped,
            ..self.vitals.status(now, self.parts.shell.netlink_counters())
        };
        let configuration = self.parts.revisions.status(now);
        let status = self.parts.router.status(now);
        // What one said that nobody wants any more is over.
        let is_used = status.children.iter().any(|child| child.name == ChildId::Notifier.name());
        let said = self.notifier.as_ref().filter(|_| is_used);
        let notifier = said.map(|(at, said)| said.aged(now.since(*at).as_secs()));
        Status { own, configuration, notifier, ..status }
    }

    fn finish_pass(&mut self, begun: Instant) {
        let now = clock::now();
        if let Some(notice) = self.vitals.passed(begun, now, self.parts.shell.netlink_counters()) {
            self.tell(&notice);
        }
        if !self.is_ready && (self.parts.router.is_verified() || now >= self.ready_by) {
            self.is_ready = true;
            self.parts.manager.send(&format!("READY=1\nMAINPID={}", std::process::id()));
        }
        if let Some((every, at)) = &mut self.watchdog
            && *at <= now
        {
            *at = now + *every;
            self.parts.manager.send("WATCHDOG=1");
        }
    }
}

pub(super) const TOKEN_TIMER: u64 = 1;
pub(super) const TOKEN_SIGNALS: u64 = 2;
pub(super) const TOKEN_KEEPER: u64 = 3;

/// What made it work without a pause should be over by then.
const NORMAL_FOR: Duration = Duration::from_secs(60);
/// Whoever waits for us is not kept longer by a kernel that refuses a part of the first state: the
/// unit gives the start 20 s.
const READY_AFTER: Duration = Duration::from_secs(10);
const INPUTS_PER_PASS: usize = 256;
const MOST_CROWDED: u32 = 8;
const WAKES_PER_PASS: usize = 16;
