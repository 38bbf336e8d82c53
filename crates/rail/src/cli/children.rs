//! What `rail status` and `rail why` say of the programs that run beside the router.

use super::style::{Colour, long};
use rail_core::status::ChildStatus;

/// What is said of one.
pub(super) struct Remark {
    /// `None`: all is well.
    pub(super) colour: Option<Colour>,
    /// Whether it runs, in one word.
    pub(super) word: &'static str,
    /// The rest.
    pub(super) text: String,
}

/// True if it ought to run and does not, or not with what its configuration has become.
pub(super) const fn is_amiss(child: &ChildStatus) -> bool {
    is_down(child) || child.refused.is_some() || child.hindered.is_some()
}

const fn is_down(child: &ChildStatus) -> bool {
    child.pid.is_none()
}

/// Says how it does.
pub(super) fn remark(child: &ChildStatus) -> Remark {
    let mut text = child.name.clone();
    if let (Some(pid), Some(seconds)) = (child.pid, child.running_s) {
        text += &format!(" (process {pid}) for {}", long(seconds));
    }
    if let Some(exit) = child.last_exit.as_ref().filter(|_| child.restarts > 0 || is_down(child)) {
        text += if is_down(child) { ": " } else { "; before that: " };
        text += exit;
    }
    if child.restarts > 0 {
        text +=
            &format!("; ended {} since the daemon started", super::style::times(child.restarts));
    }
    if let Some(words) = child.last_words.last().filter(|_| is_down(child)) {
        text += &format!("; last words: {words}");
    }
    if let Some(why) = &child.refused {
        text += "; it refuses its new configuration and goes on with the one before";
        if !why.is_empty() {
            text += &format!(": {why}");
        }
    }
    if let Some(why) = &child.hindered {
        text += &format!("; the router does not ask it for names: {why}");
    }
    match is_down(child) {
        false if child.refused.is_none() && child.hindered.is_some() => {
            Remark { colour: Some(Colour::Yellow), word: "hindered", text }
        }
        false if child.refused.is_some() => {
            Remark { colour: Some(Colour::Red), word: "refused", text }
        }
        true => Remark { colour: Some(Colour::Red), word: "down", text },
        false => Remark { colour: None, word: "running", text },
    }
}

/// All that is known of one, for `rail why`.
pub(super) fn page(child: &ChildStatus) -> String {
    let Remark { word, text, .. } = remark(child);
    let mut page = format!("{word}: {}\n", super::style::clean(&text));
    for line in &child.last_words {
        page += &format!("  wrote: {}\n", super::style::clean(line));
    }
    if child.missed_lines > 0 {
        page += &format!("  {} more lines were not read\n", child.missed_lines);
    }
    page
}
