//! As whom a child runs.
//!
//! A child that is not root has a user who owns nothing else: `rail-NAME` where the system has it, else a
//! number that neither systemd nor a distribution gives away (60706 to 61183). In a user namespace that
//! does not know the number, root there is nobody special, and the child runs as that.

use rail_core::{Child, ChildId, User};
use std::fs;

/// User and group; `None`: root, or who we are.
pub(super) fn of(child: &Child) -> Option<(u32, u32)> {
    let wanted = match child.user {
        User::Root => return None,
        User::Own => {
            let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
            let number = number(child.id);
            find(&passwd, &format!("rail-{}", child.id.name())).unwrap_or((number, number))
        }
    };
    let known = |file: &str, id: u32| fs::read_to_string(file).is_ok_and(|map| is_mapped(&map, id));
    (known("/proc/self/uid_map", wanted.0) && known("/proc/self/gid_map", wanted.1))
        .then_some(wanted)
}

const fn number(id: ChildId) -> u32 {
    match id {
        ChildId::Services => 60820,
        // These are root so far.
        ChildId::Notifier => 60821,
        ChildId::Ppp(_) => 60822,
    }
}

/// User and group of a name; never root, whatever the file says.
fn find(passwd: &str, name: &str) -> Option<(u32, u32)> {
    let mut users = passwd.lines().map(|line| line.split(':'));
    let mut found = users.find_map(|mut fields| (fields.next() == Some(name)).then_some(fields))?;
    let mut id = |skip| found.nth(skip)?.parse().ok().filter(|id| *id != 0);
    Some((id(1)?, id(0)?))
}

fn is_mapped(map: &str, id: u32) -> bool {
    let mut ranges = map.lines().map(|line| line.split_whitespace().map(str::parse::<u64>));
    ranges.any(|mut range| match (range.next(), range.nth(1)) {
        (Some(Ok(first)), Some(Ok(count))) => (first..first + count).contains(&u64::from(id)),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Given a list of users, then a name is found with its group, and one that would be root is not;
    /// given maps of namespaces, then a number is known where a range holds it.
    #[test]
    fn users_and_ranges_are_read() {
        let passwd =
            "root:x:0:0::/:/bin/sh\nrail-a:x:107:112:A:/:/bin/false\nrail-b:x:0:1::/:/b\nx";
        assert_eq!(find(passwd, "rail-a"), Some((107, 112)));
        assert_eq!(find(passwd, "rail-b"), None);
        assert_eq!(find(passwd, "rail"), None);
        assert!(is_mapped("         0          0 4294967295\n", 60820));
        assert!(!is_mapped("         0       1000          1\n", 60820));
        assert!(is_mapped("0 1000 1\n1 100000 65536\n", 60820) && !is_mapped("broken", 0));
    }
}
