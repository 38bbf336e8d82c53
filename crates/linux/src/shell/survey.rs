//! When other software is looked at: after its rules changed, once a minute, and
//! never more often than it is worth.

use rail_core::coexist::View;
use rail_core::time::{Duration, Instant};

/// A look that is due.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Look {
    pub(super) view: View,
    /// The firewall, too: that starts a child.
    pub(super) whole: bool,
}

/// Whose turn it is: one look at a time, the next one after a pause.
#[derive(Debug, Default)]
pub(super) struct Turn {
    view: Option<View>,
    /// The next look is a whole one.
    whole: bool,
    /// From then on the next look is a whole one, whatever asks for it.
    whole_at: Instant,
    /// When the next look is due.
    wanted: Option<Instant>,
    /// One is under way.
    is_looking: bool,
    /// Not before.
    earliest: Instant,
}

impl Turn {
    /// Examines by this view from now on.
    pub(super) fn set_view(&mut self, now: Instant, view: &View) {
        if self.view.as_ref() != Some(view) {
            self.view = Some(view.clone());
            self.want(now);
        }
    }

    /// Something changed. What changes next is looked at together with it.
    pub(super) fn want(&mut self, now: Instant) {
        self.whole = true;
        self.want_around(now);
    }

    /// Devices, addresses or routes changed, and no rule of the firewall.
    pub(super) fn want_around(&mut self, now: Instant) {
        let at = (now + COLLECT_FOR).max(self.earliest);
        self.wanted = Some(self.wanted.map_or(at, |wanted| wanted.min(at)));
    }

    /// When [`Turn::begin`] has a view.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.wanted.filter(|_| !self.is_looking && self.view.is_some())
    }

    /// A look that is due; it is then under way.
    pub(super) fn begin(&mut self, now: Instant) -> Option<Look> {
        self.deadline().filter(|at| *at <= now)?;
        self.wanted = None;
        self.is_looking = true;
        // What announces no change is looked for now and then.
        let whole = core::mem::take(&mut self.whole) || now >= self.whole_at;
        if whole {
            self.whole_at = now + PERIOD;
        }
        Some(Look { view: self.view.clone()?, whole })
    }

    /// A look is over.
    pub(super) fn end(&mut self, now: Instant, took: Duration) {
        self.is_looking = false;
        self.earliest = now + PAUSE.max(took * REST);
        let next = self.wanted.unwrap_or(self.whole_at);
        self.wanted = Some(next.max(self.earliest));
    }
}

/// A program loads its rules in several steps.
const COLLECT_FOR: Duration = Duration::from_millis(200);
/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);
/// Nor does looking take more than one part in so many of a processor.
const REST: u32 = 20;
/// iptables-legacy and routes of others tell nobody when they change.
const PERIOD: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(ms)
    }

    /// Given a stream of changes, then there is a look at once, one a second, and one after the
    /// last; a look that took long is followed by a longer rest.
    #[test]
    fn many_changes_make_few_looks() {
        let mut turn = Turn::default();
        turn.want(at(0));
        assert_eq!(turn.deadline(), None, "nobody said what to look for");
        turn.set_view(at(0), &View::default());
        assert_eq!(turn.begin(at(100)), None, "what comes next is looked at as well");
        assert!(turn.begin(at(200)).is_some());
        turn.want(at(210));
        assert_eq!(turn.deadline(), None, "one at a time");
        turn.end(at(220), Duration::from_millis(20));
        assert_eq!(turn.deadline(), Some(at(1220)));
        turn.want(at(800));
        assert!(turn.begin(at(1220)).is_some());
        turn.end(at(1420), Duration::from_millis(200));
        assert_eq!(turn.deadline(), Some(at(61_220)), "nothing changed since");
        turn.want(at(2000));
        assert_eq!(turn.deadline(), Some(at(5420)), "twenty times what it took");
    }

    /// Given a change of links alone, then the look starts no child, also after a quiet time; one
    /// that rules ask for meanwhile is a whole one.
    #[test]
    fn links_cost_no_child() {
        let mut turn = Turn::default();
        let whole = |turn: &mut Turn, ms| turn.begin(at(ms)).map(|look| look.whole);
        turn.set_view(at(0), &View::default());
        assert_eq!(whole(&mut turn, 200), Some(true));
        turn.want_around(at(210));
        turn.end(at(220), Duration::from_millis(20));
        assert_eq!(whole(&mut turn, 1220), Some(false));
        turn.end(at(1220), Duration::ZERO);
        turn.want_around(at(30_000));
        assert_eq!(whole(&mut turn, 30_200), Some(false), "nobody changed a rule");
        turn.end(at(30_200), Duration::ZERO);
        assert_eq!(turn.deadline(), Some(at(60_200)));
        turn.want_around(at(60_130));
        turn.want(at(60_140));
        assert_eq!(whole(&mut turn, 60_330), Some(true));
    }

    /// Given links that change without end, then a whole look comes once a minute all the same.
    #[test]
    fn restless_links_keep_no_whole_look_away() {
        let mut turn = Turn::default();
        turn.set_view(at(0), &View::default());
        let mut whole = Vec::new();
        for ms in (0..200_000).step_by(100) {
            turn.want_around(at(ms));
            if let Some(look) = turn.begin(at(ms)) {
                whole.extend(look.whole.then_some(ms));
                turn.end(at(ms), Duration::ZERO);
            }
        }
        assert_eq!(whole, [200, 60_200, 120_200, 180_200]);
    }
}
