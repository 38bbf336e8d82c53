//! The figures as tables.

use super::measure::{Steady, gigabytes_a_month, percentiles};
use super::rows::Row;
use super::rules::Kind;
use super::{Options, Trial};
use rail_core::time::Duration;
use std::fmt::Write;

/// What was measured, and with which seed.
pub(super) fn head(options: &Options, kinds: &[&Kind]) -> String {
    let mut text = format!(
        "verdicts on uplinks, seed {}: {} faults a row, {} virtual hours a row\n\n",
        options.seed,
        options.trials,
        options.hours.as_secs() / 3600,
    );
    let width = kinds.iter().map(|kind| kind.name.len()).max().unwrap_or(0);
    for kind in kinds {
        let _ = writeln!(text, "  {:<width$}  {}", kind.name, kind.settings);
    }
    text
}

/// Uplinks that break.
pub(super) fn faults(rows: &[Row], kinds: &[&Kind], results: &[Vec<Vec<Trial>>]) -> String {
    let mut table = Table::new("Faults", kinds);
    for (row, trials) in rows.iter().zip(results) {
        let cell = |k: usize| fault_cell(kinds[k], trials.iter().map(|trial| trial[k]).collect());
        table.row(row.name, (0..kinds.len()).map(cell));
    }
    table.text(
        "Seconds from the fault to the verdict: median/99th percentile. `-`: not within a minute\n\
         (rules with slow defaults: three). In brackets: of the connections that begin in the first\n\
         minute the share that fails, in per cent. Rules that doubt: avoided; down. A rule that asks\n\
         one target asks the one that dies first. BFD is spoken from end to end; with the gateway, as\n\
         providers do, it sees nothing that breaks behind the gateway.",
    )
}

/// Uplinks that do not break.
pub(super) fn steady(rows: &[Row], kinds: &[&Kind], results: &[Vec<Steady>]) -> String {
    let mut downs = Table::new("Downs a day", kinds);
    let mut times = Table::new("Time avoided, %", kinds);
    let mut pace = Table::new("Probes a second", kinds);
    for (row, figures) in rows.iter().zip(results) {
        let pairs = || kinds.iter().zip(figures);
        downs.row(row.name, pairs().map(|(kind, figures)| steady_cell(kind, figures)));
        times.row(row.name, pairs().map(|(_, figures)| short(figures.avoided_pct)));
        pace.row(row.name, pairs().map(|(_, figures)| short(figures.probes_per_s)));
        if row.name == QUIET {
            let month = |(_, figures): (_, &Steady)| short(gigabytes_a_month(figures.probes_per_s));
            pace.row("  that is GB a month", pairs().map(month));
        }
    }
    let meaning = "How often an uplink is called down. On uplinks that are good, all of it is needless.\n\
                   Rules that doubt: in brackets how often they avoid it. `always`: nearly all the time.";
    downs.text(meaning)
        + &times.text("New connections take another uplink.")
        + &pace.text("GB a month: both ways, 36 bytes each.")
}

/// Its probes are given as a volume, too.
const QUIET: &str = "DSL";

fn fault_cell(kind: &Kind, trials: Vec<Trial>) -> String {
    let times = |pick: fn(&Trial) -> super::Detection| {
        let picked: Vec<_> = trials.iter().map(pick).collect();
        match percentiles(&picked) {
            Err(_) => "always".to_owned(),
            Ok([None, _]) => "-".to_owned(),
            Ok([median, p99]) => format!("{}/{}", seconds(median), seconds(p99)),
        }
    };
    let failed = trials.iter().map(|trial| trial.failed_pct).sum::<f64>() / trials.len() as f64;
    let down = times(|trial| trial.down);
    if kind.doubts {
        format!("{}; {down} ({})", times(|trial| trial.avoided), short(failed))
    } else {
        format!("{down} ({})", short(failed))
    }
}

fn steady_cell(kind: &Kind, figures: &Steady) -> String {
    let downs = if figures.down_pct > 95.0 { "always".to_owned() } else { short(figures.downs) };
    if kind.doubts { format!("{downs} (+{})", short(figures.avoidances)) } else { downs }
}

fn seconds(time: Option<Duration>) -> String {
    time.map_or_else(|| "-".to_owned(), |time| short(time.as_secs_f64()))
}

/// Two digits that count, whole numbers in full.
fn short(value: f64) -> String {
    match value {
        0.0 => "0".to_owned(),
        v if v < 0.095 => format!("{v:.3}"),
        v if v < 0.995 => format!("{v:.2}"),
        v if v < 9.95 => format!("{v:.1}"),
        v => format!("{v:.0}"),
    }
}

struct Table {
    lines: Vec<Vec<String>>,
}

impl Table {
    fn new(title: &str, kinds: &[&Kind]) -> Self {
        let names = kinds.iter().map(|kind| kind.name.to_owned());
        Self { lines: vec![std::iter::once(title.to_owned()).chain(names).collect()] }
    }

    fn row(&mut self, name: &str, cells: impl Iterator<Item = String>) {
        self.lines.push(std::iter::once(name.to_owned()).chain(cells).collect());
    }

    /// Nothing if no row is wanted.
    fn text(&self, meaning: &str) -> String {
        let Some(head) = self.lines.first().filter(|_| self.lines.len() > 1) else {
            return String::new();
        };
        let width = |column: usize| {
            let cells = self.lines.iter().filter_map(|line| line.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..head.len()).map(width).collect();
        let mut text = String::from("\n");
        for (i, line) in self.lines.iter().enumerate() {
            let padded: Vec<String> =
                line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            let _ = writeln!(text, "{}", padded.join("  ").trim_end());
            if i == 0 {
                let _ = writeln!(text, "{}", "-".repeat(padded.join("  ").chars().count()));
            }
        }
        text + meaning + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::super::measure::Detection;
    use super::super::rules::KINDS;
    use super::*;

    /// Given a rule that doubts, then both of its verdicts are shown; of any other one.
    #[test]
    fn a_doubt_is_shown_beside_the_verdict() {
        let after = |ms| Detection::After(Duration::from_millis(ms));
        let trial = Trial { avoided: after(270), down: after(1100), failed_pct: 0.23 };
        let plain = Kind { doubts: false, ..KINDS[0] };
        let doubting = Kind { doubts: true, ..plain };
        assert_eq!(fault_cell(&plain, vec![trial; 3]), "1.1/1.1 (0.23)");
        assert_eq!(fault_cell(&doubting, vec![trial; 3]), "0.27/0.27; 1.1/1.1 (0.23)");
        let figures = Steady { downs: 0.5, avoidances: 102.0, ..Steady::default() };
        assert_eq!(steady_cell(&plain, &figures), "0.50");
        assert_eq!(steady_cell(&doubting, &figures), "0.50 (+102)");
    }
}
