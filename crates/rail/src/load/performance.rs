//! `[performance]`.

use super::reader::{Reader, Section};
use rail_core::config::{Performance, Queues};

pub(super) fn performance(reader: &mut Reader, file: &Section<'_>) -> Performance {
    let Some(section) = reader.table(file, "performance", "performance") else {
        return Performance::default();
    };
    let words = [("auto", Queues::Auto), ("off", Queues::Off)];
    Performance { queues: reader.word(&section, "queues", &words, &[]).unwrap_or_default() }
}

/// The word for it.
pub(super) const fn shown(queues: Queues) -> &'static str {
    match queues {
        Queues::Auto => "\"auto\"",
        Queues::Off => "\"off\"",
    }
}
