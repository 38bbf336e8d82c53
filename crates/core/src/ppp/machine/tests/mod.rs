//! The dialler by state and input.

mod ends;

use super::*;
use alloc::string::ToString;

const SECOND: Duration = Duration::from_secs(1);
const START: Instant = Instant::from_nanos(1_000_000_000_000);
const OURS: (Ipv4Addr, Ipv4Addr) = (Ipv4Addr::new(100, 64, 1, 2), Ipv4Addr::new(100, 64, 0, 1));

/// A dialler, the time, and what it told.
struct Line {
    dialler: Dialler,
    now: Instant,
    sight: Sight,
    told: Vec<Action>,
}

fn began(is_adopted: bool) -> ChildEvent {
    ChildEvent::Began { pid: 42, is_adopted, age: Duration::ZERO }
}

fn ended(exit: Exit) -> ChildEvent {
    ChildEvent::Ended { exit, was_asked: false }
}

impl Line {
    fn new() -> Self {
        Self::with(None)
    }

    fn with(saved: Option<SavedPpp>) -> Self {
        let sight = Sight { enabled: true, ready: true, ..Sight::default() };
        let mut line = Self { dialler: Dialler::new(saved), now: START, sight, told: Vec::new() };
        line.look();
        line
    }

    fn look(&mut self) {
        self.dialler.look(self.now, self.sight, &mut self.told);
        self.dialler.wake(self.now);
    }

    fn take(&mut self, what: &ChildEvent) {
        self.dialler.take(self.now, what, &mut self.told);
        self.look();
    }

    fn begin(&mut self) {
        assert!(self.dialler.wants());
        self.take(&began(false));
    }

    fn say(&mut self, line: &str) {
        self.take(&ChildEvent::Said { line: line.to_string(), missed: 0 });
    }

    /// The interface comes, with its address.
    fn connect(&mut self) {
        self.begin();
        (self.sight.link, self.sight.address) = (Some(7), Some(OURS));
        self.look();
        assert_eq!(self.dialler.phase(), "up");
    }

    /// pppd ends, and its interface goes; the time until it is to run again.
    fn end(&mut self, exit: Exit) -> Option<Duration> {
        (self.sight.link, self.sight.address) = (None, None);
        self.take(&ended(exit));
        let ended = self.now;
        self.wait_for(|line| line.dialler.wants());
        self.dialler.wants().then(|| self.now.since(ended))
    }

    /// Lets time pass until this is so, as long as something is due.
    fn wait_for(&mut self, is_so: impl Fn(&Self) -> bool) {
        while !is_so(self) {
            let Some(at) = self.dialler.deadline() else { return };
            self.now = at.max(self.now);
            self.look();
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        self.look();
    }

    fn last(&self) -> Option<Cause> {
        self.dialler.last().map(|last| last.cause)
    }
}

/// Given a line, when pppd begins and the kernel shows an address with another end, then it is up, once; its
/// name servers are those that pppd tells, before or after.
#[test]
fn an_address_makes_it_up() {
    let mut line = Line::new();
    line.begin();
    assert_eq!(line.dialler.phase(), "dialling");
    line.say("local  IP address 100.64.1.2");
    line.say("primary   DNS address 192.0.2.53");
    (line.sight.link, line.sight.address) = (Some(7), Some(OURS));
    line.look();
    line.say("secondary DNS address 192.0.2.54");
    line.say("secondary DNS address 0.0.0.0");
    line.say("primary   DNS address none");
    let resolvers = [[192, 0, 2, 53], [192, 0, 2, 54]].map(Ipv4Addr::from).to_vec();
    let given = SavedPpp { address: OURS.0, peer: OURS.1, resolvers, plugin: 0 };
    assert_eq!(line.dialler.saved(), Some(&given));
    assert_eq!(line.told, [Action::Up { address: OURS, is_new: true }]);
    assert_eq!(line.dialler.deadline(), None);
}

/// Given each way to end that a line may recover from, then it is dialled again after one second, after twice
/// as long each time, and after no more than a minute; a minute of being up begins anew. Reported: nobody dials after the
/// provider has hung up (OpenWrt 12868, nethsecurity 843), or after some attempts (NethServer/dev 5358, netctl 184,
/// meta-balena 697).
#[test]
fn a_line_is_dialled_soon_and_more_seldom() {
    let mut line = Line::new();
    for exit in [Exit::Code(8), Exit::Code(16), Exit::Code(15), Exit::Code(10), Exit::Code(1)] {
        let mut waits = Vec::new();
        for _ in 0..8 {
            line.begin();
            waits.extend(line.end(exit.clone()).map(|wait| wait.as_secs()));
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60], "{exit:?}");
        line.connect();
        line.pass(SECOND * 60);
        assert_eq!(line.end(exit.clone()), Some(SECOND));
        line.dialler.line.reset();
    }
    // Up for a moment is no better than not at all.
    line.connect();
    line.pass(SECOND * 59);
    assert_eq!(line.end(Exit::Code(16)), Some(SECOND));
    line.connect();
    assert_eq!(line.end(Exit::Signal(9)), Some(SECOND * 2));
}

/// Given a refused password, then it is dialled again after a minute, after twice as long each time, and
/// after no more than 16 minutes; that is told once.
#[test]
fn a_refused_password_is_tried_slowly() {
    let mut line = Line::new();
    let waits: Vec<u64> = (0..6)
        .map(|_| {
            line.begin();
            line.end(Exit::Code(19)).unwrap().as_secs()
        })
        .collect();
    assert_eq!(waits, [60, 120, 240, 480, 960, 960]);
    assert_eq!(line.last(), Some(Cause::Credentials));
    let news = |line: &Line| {
        line.told.iter().filter(|told| matches!(told, Action::Down { is_told: false, .. })).count()
    };
    assert_eq!((line.told.len(), news(&line)), (6, 1));
    line.connect();
    line.end(Exit::Code(19));
    assert_eq!(news(&line), 2);
}

/// Given a device that is not there, then it is looked for every five seconds; an option that pppd does not
/// take waits for somebody.
#[test]
fn an_absent_device_is_looked_for() {
    let mut line = Line::new();
    for _ in 0..3 {
        line.begin();
        line.say("In file options: unrecognized option '/dev/ttyUSB0'");
        assert_eq!(line.end(Exit::Code(2)), Some(SECOND * 5));
        assert_eq!(line.last(), Some(Cause::NoDevice));
    }
    line.begin();
    line.say("In file /etc/ppp/options: unrecognized option 'frobnicate'");
    assert_eq!(line.end(Exit::Code(2)), Some(SECOND * 60));
    assert_eq!(line.last(), Some(Cause::Options));
}

/// Given no plugin of the first name, then the second is tried at once, and then slowly both.
#[test]
fn the_plugin_has_two_names() {
    let mut line = Line::new();
    let mut tried = Vec::new();
    for _ in 0..3 {
        line.begin();
        line.say("Couldn't load plugin pppoe.so");
        tried.push((line.dialler.plugin(), line.end(Exit::Code(2)).unwrap().as_secs()));
    }
    assert_eq!(tried, [("pppoe.so", 1), ("rp-pppoe.so", 60), ("pppoe.so", 120)]);
}

/// Given what it dials through without a carrier, then nothing is dialled until it has one, and then at once;
/// a connection that is there stays.
#[test]
fn without_a_cable_nothing_is_dialled() {
    let mut line = Line::new();
    line.begin();
    line.sight.ready = false;
    line.end(Exit::Code(8));
    assert_eq!((line.dialler.phase(), line.dialler.deadline()), ("waiting", None));
    line.sight.ready = true;
    line.look();
    line.connect();
    line.sight.ready = false;
    line.look();
    assert_eq!(line.dialler.phase(), "up");
}

/// Given an uplink that is switched off, then its line is hung up and told of to nobody; switched on, it is
/// dialled at once, but not before the old pppd is gone.
#[test]
fn switched_off_is_hung_up() {
    let mut line = Line::new();
    line.connect();
    line.sight.enabled = false;
    line.look();
    assert_eq!((line.dialler.wants(), line.dialler.phase()), (false, "hanging up"));
    line.sight.enabled = true;
    line.look();
    assert!(!line.dialler.wants());
    assert_eq!(line.end(Exit::Code(5)), Some(Duration::ZERO));
    assert_eq!(line.told.len(), 1, "{:?}", line.told);
    line.sight.enabled = false;
    line.begin();
    assert_eq!(line.dialler.phase(), "hanging up");
    assert_eq!((line.end(Exit::Code(5)), line.dialler.phase()), (None, "waiting"));
}

/// Given other options, then the line is hung up and dialled at once with them; one that waits does not wait
/// any longer.
#[test]
fn other_options_are_dialled_at_once() {
    let mut line = Line::new();
    line.connect();
    line.dialler.redial();
    assert!(!line.dialler.wants());
    assert_eq!(line.end(Exit::Code(5)), Some(Duration::ZERO));
    line.begin();
    line.sight.ready = false;
    line.take(&ended(Exit::Code(19)));
    line.sight.ready = true;
    line.dialler.redial();
    line.look();
    assert!(line.dialler.wants());
}

/// Given a line that is up and that the checks find dead, then it is hung up after a minute and dialled anew
/// a second later, the next time after two minutes, and so on up to 16; one that answered begins anew.
#[test]
fn a_dead_line_is_dialled_anew() {
    let mut line = Line::new();
    let mut patience = Vec::new();
    for _ in 0..6 {
        line.connect();
        let up = line.now;
        line.sight.dead = true;
        line.look();
        line.wait_for(|line| !line.dialler.wants());
        patience.push(line.now.since(up).as_secs());
        line.sight.dead = false;
        line.end(Exit::Code(5)).expect("dialled again");
        assert_eq!(line.last(), Some(Cause::Dead));
    }
    assert_eq!(patience, [60, 120, 240, 480, 960, 960]);
    line.connect();
    line.sight.alive = true;
    line.look();
    (line.sight.alive, line.sight.dead) = (false, true);
    line.look();
    let fell = line.now;
    // A doubt that ends in between counts from its beginning.
    line.pass(SECOND * 59);
    line.sight.dead = false;
    line.pass(SECOND);
    assert!(line.dialler.wants());
    line.sight.dead = true;
    line.look();
    line.wait_for(|line| !line.dialler.wants());
    assert_eq!(line.now.since(fell), SECOND * 120);
}

/// Given a pppd that neither connects nor ends, then it is ended after three minutes.
#[test]
fn a_dial_has_an_end() {
    let mut line = Line::new();
    line.begin();
    line.wait_for(|line| !line.dialler.wants());
    assert_eq!(line.now.since(START), SECOND * 180);
    assert_eq!(line.end(Exit::Signal(9)), Some(SECOND));
    assert_eq!(line.last(), Some(Cause::TooSlow));
}

/// Given a pppd of an earlier process with its address, then it is taken over: nothing is dialled, its name
/// servers stay, and its end, whose code nobody knows, is followed by a dial.
#[test]
fn a_connection_outlives_the_process() {
    let resolvers = [[192, 0, 2, 53]].map(Ipv4Addr::from).to_vec();
    let given = SavedPpp { address: OURS.0, peer: OURS.1, resolvers, plugin: 0 };
    let mut line = Line::with(Some(given.clone()));
    (line.sight.link, line.sight.address) = (Some(7), Some(OURS));
    line.look();
    line.take(&began(true));
    assert_eq!(line.told, [Action::Up { address: OURS, is_new: false }]);
    assert_eq!((line.dialler.saved(), line.dialler.dials()), (Some(&given), 0));
    assert_eq!(line.end(Exit::Unknown), Some(SECOND));
}

/// Given an interface of that name before anything is dialled, then it is somebody else's: nothing is
/// dialled, its address is not ours, and when it goes the line is dialled at once.
#[test]
fn a_strangers_interface_is_left_alone() {
    let mut line = Line::new();
    line.sight.enabled = false;
    line.look();
    line.sight = Sight { enabled: true, link: Some(3), address: Some(OURS), ..line.sight };
    line.look();
    line.wait_for(|line| line.dialler.wants());
    line.begin();
    assert_eq!((line.dialler.wants(), line.dialler.phase()), (false, "hanging up"));
    line.take(&ended(Exit::Code(5)));
    assert_eq!(line.dialler.phase(), "blocked");
    assert_eq!((line.dialler.wants(), line.dialler.deadline()), (false, None));
    assert!(matches!(line.told[..], [Action::Down { cause: Cause::NameTaken, wait: None, .. }]));
    assert_eq!(line.dialler.saved(), None);
    (line.sight.link, line.sight.address) = (None, None);
    line.look();
    assert!(line.dialler.wants() && !line.dialler.is_blocked());
}

/// Given another address at a redial, then that is the one that is kept, with its own name servers.
#[test]
fn another_address_replaces_the_last() {
    let mut line = Line::new();
    line.begin();
    line.say("local  IP address 100.64.1.2");
    line.say("primary   DNS address 192.0.2.53");
    (line.sight.link, line.sight.address) = (Some(7), Some(OURS));
    line.look();
    assert_eq!(line.dialler.saved().unwrap().resolvers.len(), 1);
    line.end(Exit::Code(16));
    line.begin();
    let other = (Ipv4Addr::new(100, 64, 1, 3), OURS.1);
    (line.sight.link, line.sight.address) = (Some(8), Some(other));
    line.look();
    let given = SavedPpp { address: other.0, peer: other.1, resolvers: Vec::new(), plugin: 0 };
    assert_eq!(line.dialler.saved(), Some(&given));
}

/// Given a flood of long lines, then twenty are kept, and of each the beginning.
#[test]
fn words_are_bounded() {
    let mut line = Line::new();
    line.begin();
    for n in 0..1000 {
        line.say(&alloc::format!("{n} {}", "x".repeat(10_000)));
    }
    let kept: Vec<usize> = line.dialler.words().map(str::len).collect();
    assert_eq!(kept, [LONGEST_WORDS; MOST_WORDS]);
    assert!(line.dialler.words().next().unwrap().starts_with("980 "));
}

/// Given the end of a pppd that this dialler never had, then it says nothing.
#[test]
fn the_end_of_another_says_nothing() {
    let mut line = Line::new();
    line.take(&ended(Exit::Code(5)));
    assert!(line.dialler.wants() && line.told.is_empty());
    line.take(&ended(Exit::NotStarted("the program pppd is missing".into())));
    assert_eq!(line.last(), Some(Cause::NotInstalled));
}

/// Given a pppd that runs with the plugin of the second name, when the process dies and another one starts while
/// the cable is out, then pppd is wanted at once and with that name, so that it is not ended.
#[test]
fn what_is_connected_is_wanted_without_a_cable() {
    let mut line = Line::new();
    line.begin();
    line.say("Couldn't load plugin pppoe.so");
    line.end(Exit::Code(2));
    line.connect();
    let saved = line.dialler.saved().cloned();
    let mut next = Line { dialler: Dialler::new(saved), told: Vec::new(), ..line };
    next.sight.ready = false;
    next.look();
    assert!(next.dialler.wants());
    assert_eq!(next.dialler.plugin(), "rp-pppoe.so");
    next.take(&began(true));
    assert_eq!(next.told, [Action::Up { address: OURS, is_new: false }]);
}
