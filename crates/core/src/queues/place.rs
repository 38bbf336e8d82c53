//! Where the mask of a queue stands, and its text: groups of 32 bits in hexadecimal, the highest first.

use crate::net::IfName;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// The mask of one queue: `class/net/IFNAME/queues/rx-N/rps_cpus` or `../tx-N/xps_cpus` below `/sys`.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// The port.
    pub ifname: IfName,
    /// What the queue is for.
    pub side: Side,
    /// Its number.
    pub number: usize,
}

/// What a queue is for.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Side {
    /// For what comes in: RPS.
    Receive,
    /// For what goes out: XPS.
    Transmit,
}

impl Place {
    /// The place that a path below `/sys` names; `None` for any other path.
    pub fn parse(path: &str) -> Option<Self> {
        let (ifname, rest) = path.strip_prefix("class/net/")?.split_once("/queues/")?;
        let (queue, file) = rest.split_once('/')?;
        let (side, number) = match file {
            "rps_cpus" => (Side::Receive, queue.strip_prefix("rx-")?),
            "xps_cpus" => (Side::Transmit, queue.strip_prefix("tx-")?),
            _ => return None,
        };
        let place = Self { ifname: ifname.parse().ok()?, side, number: number.parse().ok()? };
        // One way to write it.
        (place.path() == path).then_some(place)
    }

    /// Its path below `/sys`.
    pub fn path(&self) -> String {
        let Self { ifname, number, .. } = self;
        match self.side {
            Side::Receive => format!("class/net/{ifname}/queues/rx-{number}/rps_cpus"),
            Side::Transmit => format!("class/net/{ifname}/queues/tx-{number}/xps_cpus"),
        }
    }
}

/// A set of CPUs.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Mask {
    /// 32 of them each, the lowest first, without empty ones at the end.
    words: Vec<u32>,
}

impl Mask {
    /// The set of these.
    pub fn of(cpus: impl IntoIterator<Item = u16>) -> Self {
        let mut words = Vec::new();
        for cpu in cpus {
            let at = usize::from(cpu / 32);
            if words.len() <= at {
                words.resize(at + 1, 0);
            }
            words[at] |= 1 << (cpu % 32);
        }
        Self { words }
    }

    /// Reads what the kernel writes; `None` if it is no mask.
    pub fn parse(text: &str) -> Option<Self> {
        let word = |group: &str| {
            let is_group = (1..=8).contains(&group.len());
            let is_group = is_group && group.bytes().all(|b| b.is_ascii_hexdigit());
            is_group.then(|| u32::from_str_radix(group, 16).ok())?
        };
        let mut words = text.trim().rsplit(',').map(word).collect::<Option<Vec<u32>>>()?;
        let length = words.iter().rposition(|word| *word != 0).map_or(0, |last| last + 1);
        words.truncate(length);
        Some(Self { words })
    }

    /// The CPUs in it, in ascending order.
    pub fn cpus(&self) -> impl Iterator<Item = u16> + '_ {
        (0..=u16::MAX).take(self.words.len() * 32).filter(|cpu| {
            let word = self.words.get(usize::from(cpu / 32));
            word.is_some_and(|word| word >> (cpu % 32) & 1 == 1)
        })
    }

    /// As the kernel reads it, without leading zeros: equal sets have equal texts.
    pub fn to_text(&self) -> String {
        let Some((last, rest)) = self.words.split_last() else { return "0".into() };
        let rest = rest.iter().rev().map(|word| format!(",{word:08x}"));
        core::iter::once(format!("{last:x}")).chain(rest).collect()
    }
}
