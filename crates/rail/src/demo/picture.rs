//! The picture: each connection of the run as a dot, by the uplink it took.

use super::steps::{Step, Story};
use std::fmt::Write;
use std::time::Duration;

const WIDTH: f64 = 1000.0;
const LEFT: f64 = 90.0;
const ROW: f64 = 46.0;
const TOP: f64 = 84.0;
const COLOURS: [&str; 3] = ["#2a78b5", "#3f9142", "#b5732a"];
const FAILED: &str = "#c4302b";

/// Draws the story as SVG.
pub(super) fn draw(story: &Story) -> String {
    let begin = story.steps.first().map(|s| s.from);
    let total = story.report.attempts.last().zip(begin).map_or(1.0, |(last, begin)| {
        last.at.saturating_duration_since(begin).as_secs_f64().max(0.1)
    });
    let x = |time: Duration| LEFT + time.as_secs_f64() / total * (WIDTH - LEFT - 20.0);
    let rows = story.sources.len() + 1;
    let height = TOP + ROW * f64::from(u32::try_from(rows).unwrap_or(4)) + 30.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n\
         <text x=\"12\" y=\"22\" font-size=\"15\" fill=\"#222\">A new connection each 10 ms through \
         rail, weights 3:2:1: each dot is one, on the uplink it took</text>\n"
    );
    let at = |step: &Step| begin.map_or(0.0, |b| x(step.from.saturating_duration_since(b)));
    for (n, step) in story.steps.iter().enumerate() {
        let (x, y) = (at(step), 42.0 + 14.0 * f64::from(u32::try_from(n % 2).unwrap_or(0)));
        // Writing to a String cannot fail.
        let _ = writeln!(
            svg,
            "<line x1=\"{x:.1}\" y1=\"{y}\" x2=\"{x:.1}\" y2=\"{:.1}\" stroke=\"#999\" \
             stroke-dasharray=\"3 3\"/><text x=\"{:.1}\" y=\"{:.1}\" fill=\"#333\">{}<title>{}</title></text>",
            height - 24.0,
            x + 4.0,
            y + 8.0,
            step.title,
            Story::caption(step),
        );
    }
    rows_of(&mut svg, story);
    for (n, attempt) in story.report.attempts.iter().enumerate() {
        let Some(begin) = begin.filter(|b| attempt.at >= *b) else { continue };
        let x = x(attempt.at.saturating_duration_since(begin));
        let row = match &attempt.outcome {
            Ok((source, _)) => story.sources.iter().position(|s| s == source),
            Err(_) => None,
        };
        let colour = row.map_or(FAILED, |r| COLOURS[r % COLOURS.len()]);
        let radius = if row.is_some() { 1.6 } else { 2.6 };
        let y = middle(row.unwrap_or(story.sources.len()));
        // Spread over the row, so that dots do not hide each other.
        let nudge = f64::from(u32::try_from(n * 7919 % 25).unwrap_or(0)) - 12.0;
        let _ = writeln!(
            svg,
            "<circle cx=\"{x:.1}\" cy=\"{:.1}\" r=\"{radius}\" fill=\"{colour}\"/>",
            y + nudge
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{LEFT}\" y=\"{:.1}\" fill=\"#333\">0 s</text>\
         <text x=\"{:.1}\" y=\"{:.1}\" fill=\"#333\" text-anchor=\"end\">{total:.0} s</text>\n</svg>",
        height - 8.0,
        WIDTH - 20.0,
        height - 8.0,
    );
    svg
}

fn middle(row: usize) -> f64 {
    TOP + ROW * (f64::from(u32::try_from(row).unwrap_or(0)) + 0.5)
}

fn rows_of(svg: &mut String, story: &Story) {
    for row in 0..=story.sources.len() {
        let (name, colour) = match row < story.sources.len() {
            true => (format!("isp{}", row + 1), COLOURS[row % COLOURS.len()]),
            false => ("failed".into(), FAILED),
        };
        let y = middle(row);
        // Writing to a String cannot fail.
        let _ = writeln!(
            svg,
            "<text x=\"12\" y=\"{:.1}\" font-size=\"14\" fill=\"{colour}\">{name}</text>\
             <line x1=\"{LEFT}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"#eee\"/>",
            y + 4.0,
            y + ROW / 2.0,
            WIDTH - 20.0,
            y + ROW / 2.0,
        );
    }
}
