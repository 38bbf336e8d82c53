//! The laboratory's tests, in one binary: a file for each thing that `rail` promises.
//!
//! `cargo xtask lab` runs them all, each in a process of its own.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

mod addresses;
mod anew;
mod apply;
mod attackers;
mod beside;
mod borders;
mod churn;
mod clamp;
mod cold;
mod conflicts;
mod crash;
mod crash_points;
mod cycles;
mod decisions;
mod dhcp;
mod dhcp_reports;
mod dhcp_servers;
mod drift;
mod errors;
mod external;
mod failback;
mod failover;
mod firewall;
mod flaps;
mod forged;
mod forwards;
mod guard;
mod hang;
mod imported;
mod isolation;
mod keep;
mod kinds;
mod line_reports;
mod loaded;
mod lossy;
mod many;
mod names;
mod networks;
mod normal;
mod notify;
mod own_links;
mod plain;
mod ppp;
mod rates;
mod reach;
mod readdress;
mod recipe;
mod reload;
mod scenarios;
mod services;
mod services_lan;
mod shared;
mod sharing;
mod silent;
mod storm;
mod surroundings;
mod topologies;
mod topology_self;
mod verdicts;
mod ways;
mod withdraw;
