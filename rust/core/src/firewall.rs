//! Which addresses may talk to a vault.
//!
//! Rules are compiled to sorted, disjoint intervals, so that a decision is a binary search however
//! many rules there are. An IPv4 address that arrives mapped into IPv6 (`::ffff:192.0.2.1`, as
//! dual-stack sockets report it) is treated as the IPv4 address, in rules and in requests.

use std::net::{IpAddr, Ipv6Addr};

use crate::error::{Error, Result};

/// The addresses that may talk to one vault.
#[derive(Debug, Clone)]
pub struct Firewall {
    default: DefaultAction,
    v4: Vec<Interval<u32>>,
    v6: Vec<Interval<u128>>,
}

/// What happens to an address that matches no rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefaultAction {
    /// It may talk to the vault.
    Allow,
    /// It may not.
    Deny,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Interval<T> {
    first: T,
    last: T,
}

impl DefaultAction {
    /// Parses `Allow` or `Deny`, ignoring case.
    pub fn parse(text: &str) -> Result<Self> {
        if text.eq_ignore_ascii_case("allow") {
            Ok(Self::Allow)
        } else if text.eq_ignore_ascii_case("deny") {
            Ok(Self::Deny)
        } else {
            Err(Error::Usage(
                "the default action of a firewall is Allow or Deny".to_owned(),
            ))
        }
    }
}

impl Firewall {
    /// Compiles the rules: addresses and CIDR ranges, IPv4 and IPv6.
    ///
    /// Bits of an address after the prefix of its range are ignored, as in `10.0.0.7/8`.
    pub fn compile<'a>(
        default: DefaultAction,
        rules: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self> {
        let mut v4 = Vec::new();
        let mut v6 = Vec::new();
        for (index, rule) in rules.into_iter().enumerate() {
            match parse_rule(rule) {
                Some((IpAddr::V4(address), prefix)) => {
                    v4.push(range_v4(u32::from(address), prefix));
                }
                Some((IpAddr::V6(address), prefix)) => {
                    v6.push(range_v6(u128::from(address), prefix));
                }
                None => {
                    return Err(Error::Usage(format!(
                        "firewall rule {} is neither an IP address nor a range in CIDR notation",
                        index + 1
                    )))
                }
            }
        }
        Ok(Self {
            default,
            v4: merge(v4),
            v6: merge(v6),
        })
    }

    /// Whether an address may talk to the vault.
    ///
    /// What is not an address matches no rule.
    #[must_use]
    pub fn allows(&self, address: &str) -> bool {
        if self.default == DefaultAction::Allow {
            return true;
        }
        match address
            .parse::<IpAddr>()
            .map(|address| address.to_canonical())
        {
            Ok(IpAddr::V4(address)) => contains(&self.v4, u32::from(address)),
            Ok(IpAddr::V6(address)) => contains(&self.v6, u128::from(address)),
            Err(_) => false,
        }
    }
}

fn parse_rule(rule: &str) -> Option<(IpAddr, u32)> {
    let (address, prefix) = match rule.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (rule, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let width = if address.is_ipv4() { 32 } else { 128 };
    let prefix = match prefix {
        None => width,
        Some(digits) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse().ok().filter(|&prefix| prefix <= width)?
        }
        Some(_) => return None,
    };
    match address {
        IpAddr::V6(v6) => Some(unmap(v6, prefix)),
        v4 @ IpAddr::V4(_) => Some((v4, prefix)),
    }
}

/// A range of mapped addresses is a range of IPv4 addresses.
fn unmap(address: Ipv6Addr, prefix: u32) -> (IpAddr, u32) {
    match (address.to_ipv4_mapped(), prefix.checked_sub(96)) {
        (Some(v4), Some(prefix)) => (IpAddr::V4(v4), prefix),
        _ => (IpAddr::V6(address), prefix),
    }
}

fn range_v4(address: u32, prefix: u32) -> Interval<u32> {
    let mask = u32::MAX.checked_shl(32 - prefix).unwrap_or(0);
    Interval {
        first: address & mask,
        last: address | !mask,
    }
}

fn range_v6(address: u128, prefix: u32) -> Interval<u128> {
    let mask = u128::MAX.checked_shl(128 - prefix).unwrap_or(0);
    Interval {
        first: address & mask,
        last: address | !mask,
    }
}

fn merge<T: Copy + Ord>(mut intervals: Vec<Interval<T>>) -> Vec<Interval<T>> {
    intervals.sort_unstable_by_key(|interval| interval.first);
    let mut merged: Vec<Interval<T>> = Vec::with_capacity(intervals.len());
    for next in intervals {
        match merged.last_mut() {
            Some(previous) if next.first <= previous.last => {
                previous.last = previous.last.max(next.last);
            }
            _ => merged.push(next),
        }
    }
    merged
}

fn contains<T: Copy + Ord>(intervals: &[Interval<T>], address: T) -> bool {
    let after = intervals.partition_point(|interval| interval.first <= address);
    after
        .checked_sub(1)
        .and_then(|index| intervals.get(index))
        .is_some_and(|interval| address <= interval.last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deny(rules: &[&str]) -> Firewall {
        Firewall::compile(DefaultAction::Deny, rules.iter().copied()).unwrap_or(Firewall {
            default: DefaultAction::Deny,
            v4: Vec::new(),
            v6: Vec::new(),
        })
    }

    #[test]
    fn default_decides_where_no_rule_does() {
        assert!(!deny(&[]).allows("127.0.0.1"));
        assert!(!deny(&[]).allows("::1"));
        let open = Firewall::compile(DefaultAction::Allow, []);
        assert!(open.is_ok_and(|open| open.allows("127.0.0.1") && open.allows("not an address")));
    }

    #[test]
    fn ranges_end_where_they_end() {
        let wall = deny(&[
            "10.0.0.0/8",
            "192.0.2.7",
            "10.255.255.0/24",
            "2001:db8::/32",
        ]);
        for inside in [
            "10.0.0.0",
            "10.255.255.255",
            "192.0.2.7",
            "2001:db8::",
            "2001:db8:ffff::1",
        ] {
            assert!(wall.allows(inside), "{inside}");
        }
        for outside in [
            "9.255.255.255",
            "11.0.0.0",
            "192.0.2.6",
            "192.0.2.8",
            "2001:db9::",
            "::1",
        ] {
            assert!(!wall.allows(outside), "{outside}");
        }
    }

    #[test]
    fn mapped_addresses_are_ipv4_addresses() {
        assert!(deny(&["192.0.2.0/24"]).allows("::ffff:192.0.2.1"));
        assert!(deny(&["::ffff:192.0.2.0/120"]).allows("192.0.2.1"));
        assert!(!deny(&["::/0"]).allows("::ffff:192.0.2.1"));
        assert!(!deny(&["::/0"]).allows("192.0.2.1"));
    }

    #[test]
    fn the_whole_of_a_family_is_a_range() {
        let wall = deny(&["0.0.0.0/0"]);
        assert!(wall.allows("0.0.0.0") && wall.allows("255.255.255.255") && !wall.allows("::1"));
        let wall = deny(&["::/0"]);
        assert!(wall.allows("::") && wall.allows("ffff::1") && !wall.allows("1.2.3.4"));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for rule in [
            "",
            "/",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0.0/-1",
            "::/129",
            "010.0.0.1",
            "10.0.0",
            "fe80::1%eth0",
            "10.0.0.0/8/8",
            " 10.0.0.1",
            "example.org",
        ] {
            assert!(
                Firewall::compile(DefaultAction::Deny, [rule]).is_err(),
                "{rule}"
            );
        }
        for address in [
            "",
            "10.0.0.1 ",
            "fe80::1%eth0",
            "unix",
            "0x0a000001",
            "10.1",
        ] {
            assert!(!deny(&["0.0.0.0/0", "::/0"]).allows(address), "{address}");
        }
    }
}
