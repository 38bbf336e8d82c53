//! The bucket map: what we write is what `nft` shows.

use super::*;

fn buckets(kernel: &mut Nft) -> BTreeMap<u32, u32> {
    kernel.observe().unwrap().unwrap().buckets.unwrap()
}

pub(crate) fn set(kernel: &mut Nft, want: &BTreeMap<u32, u32>) {
    let (del, add) = firewall::buckets_delta(want, Some(&buckets(kernel)));
    kernel.set_buckets(&del, &add).unwrap();
    assert_eq!(buckets(kernel), *want);
}

#[test]
fn buckets_are_what_nft_shows() {
    in_new_netns(|| {
        let mut kernel = Nft::open().unwrap();
        assert_eq!(kernel.set_buckets(&[], &[(1, 2)]).unwrap_err().errno, libc::ENOENT);
        mend(&mut kernel, &desired());
        let want = BTreeMap::from([(0, 0x0100_0000), (1, 0x0200_0000), (258, 0x0100_0000)]);
        set(&mut kernel, &want);
        let listed: String = nft("list map inet rail slots").split_whitespace().collect();
        assert!(listed.contains("elements={0:0x01000000,1:0x02000000,258:0x01000000}"), "{listed}");
        // The other way round.
        nft("flush map inet rail slots; add element inet rail slots { 7 : 0x7e000000 }");
        assert_eq!(buckets(&mut kernel), BTreeMap::from([(7, 0x7e00_0000)]));
        nft("flush map inet rail slots");
        let empty = kernel.observe().unwrap().unwrap();
        assert_eq!(empty.buckets, Some(BTreeMap::new()));
        assert_eq!(firewall::script(&desired(), Some(&empty)), None);
        set(&mut kernel, &want);
        kernel.set_buckets(&[], &[]).unwrap();
        assert_eq!(buckets(&mut kernel), want);
    });
}

#[test]
fn buckets_that_others_changed_meanwhile_come_out_right() {
    in_new_netns(|| {
        let mut kernel = Nft::open().unwrap();
        mend(&mut kernel, &desired());
        set(&mut kernel, &BTreeMap::from([(0, 1), (1, 1), (2, 1), (9, 9)]));
        // 0 is gone, 2 is another; we meant to move all three to 5.
        nft("delete element inet rail slots { 0 }
             delete element inet rail slots { 2 }
             add element inet rail slots { 2 : 8 }
             add element inet rail slots { 3 : 8 }");
        let (del, add) = ([(0, 1), (1, 1), (2, 1)], [(0, 5), (1, 5), (2, 5), (3, 5)]);
        kernel.set_buckets(&del, &add).unwrap();
        assert_eq!(buckets(&mut kernel), BTreeMap::from([(0, 5), (1, 5), (2, 5), (3, 5), (9, 9)]));
        kernel.set_buckets(&[(0, 5), (77, 1)], &[]).unwrap();
        assert_eq!(buckets(&mut kernel), BTreeMap::from([(1, 5), (2, 5), (3, 5), (9, 9)]));
    });
}

/// The largest map that there can be, with an element for each line besides the buckets, moves as a
/// whole, and back.
#[test]
fn a_large_map_moves_in_one_transaction() {
    in_new_netns(|| {
        let mut kernel = Nft::open().unwrap();
        mend(&mut kernel, &desired());
        for mark in [0x0100_0000, 0x0200_0000, 0x0100_0000] {
            let keys = (0..rail_core::render::balance::bucket_count(126)).chain(60_001..60_127);
            set(&mut kernel, &keys.map(|key| (key, mark)).collect());
        }
        set(&mut kernel, &BTreeMap::new());
    });
}

/// Prints what changing buckets costs. Run with `--ignored --nocapture`.
#[test]
#[ignore = "measures, and proves nothing"]
fn cost_of_buckets() {
    in_new_netns(|| {
        let mut kernel = Nft::open().unwrap();
        mend(&mut kernel, &desired());
        for count in [64, 256, 512, 2048] {
            let maps = [1_u32, 2].map(|mark| -> Vec<(u32, u32)> {
                (0..count).map(|bucket| (bucket, mark << 24)).collect()
            });
            kernel.set_buckets(&[], &maps[0]).unwrap();
            let mut times: Vec<Duration> = (0..100)
                .map(|turn| {
                    let begin = Instant::now();
                    kernel.set_buckets(&maps[turn % 2], &maps[(turn + 1) % 2]).unwrap();
                    begin.elapsed()
                })
                .collect();
            times.sort_unstable();
            let mut looks: Vec<Duration> = (0..100)
                .map(|_| {
                    let begin = Instant::now();
                    kernel.observe().unwrap();
                    begin.elapsed()
                })
                .collect();
            looks.sort_unstable();
            println!(
                "{count} slots: change p50 {:?} p90 {:?} max {:?}; observe p50 {:?}",
                times[50], times[90], times[99], looks[50]
            );
            kernel.set_buckets(&maps[0], &[]).unwrap();
        }
    });
}
