//! Which addresses a name may have.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What an address belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The internet.
    Public,
    /// Somebody's own network, or this machine: reached where a rule says `private`.
    Private,
    /// Nobody that a name could mean: link-local (metadata services are there), multicast,
    /// translations of other addresses. Reached where a rule names the very address.
    Special,
}

/// What an address belongs to.
///
/// Addresses for documentation (such as 203.0.113.0/24) count as public: they lead nowhere by
/// themselves, and some networks put their own proxies there.
pub fn reach(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(address) => reach_v4(address),
        IpAddr::V6(address) => reach_v6(address),
    }
}

fn reach_v4(address: Ipv4Addr) -> Reach {
    match address.octets() {
        [10, ..] | [127, ..] | [192, 168, ..] => Reach::Private,
        [172, second, ..] if second & 0xf0 == 16 => Reach::Private,
        // Carriers' own, and for measurements (which some local proxies use for made-up addresses).
        [100, second, ..] if second & 0xc0 == 64 => Reach::Private,
        [198, 18 | 19, ..] => Reach::Private,
        [0, ..] | [169, 254, ..] | [192, 0, 0, _] | [192, 88, 99, _] => Reach::Special,
        [first, ..] if first >= 224 => Reach::Special,
        _ => Reach::Public,
    }
}

fn reach_v6(address: Ipv6Addr) -> Reach {
    if address == Ipv6Addr::LOCALHOST {
        return Reach::Private;
    }
    // What an instance on one large cloud finds its credentials at; else a private address.
    if address == Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254) {
        return Reach::Special;
    }
    match address.segments() {
        [first, ..] if first & 0xfe00 == 0xfc00 => Reach::Private,
        // Teredo and 6to4 hold an IPv4 address.
        [0x2001, 0, ..] | [0x2002, ..] => Reach::Special,
        [first, ..] if first & 0xe000 == 0x2000 => Reach::Public,
        // Everything else: unspecified, mapped, NAT64, discard, link-local, multicast, unassigned.
        _ => Reach::Special,
    }
}
