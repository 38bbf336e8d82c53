//! The elements of the bucket map, and that there is room for all of them.

use super::*;
use crate::state::Firewall;

/// Given forty uplinks in pairs of one address, and as many as there can be, then their elements and
/// all buckets fit the map.
#[test]
fn buckets_and_elements_fit_the_map() {
    for count in [40, 126] {
        let mut config = config(&vec![(1, Tier::Number(1)); count]);
        for pair in config.uplinks.chunks_mut(2) {
            pair[1].fixed_mut().unwrap().address = pair[0].address().unwrap();
        }
        let facts = facts(&config, &(0..count).collect::<Vec<_>>());
        let Resource::Buckets(buckets) = &render(&config, &facts)[&Key::Buckets] else {
            unreachable!()
        };
        assert_eq!(buckets.len(), 2048 + count / 2);
        let table = crate::state::firewall::script(&Firewall::default(), None).unwrap();
        assert!(table.contains("size 4096;") && buckets.len() <= 4096, "{table}");
    }
}
