//! Every denied range, its edges, and the IPv6 clothes an IPv4 address can wear.

use super::*;

fn reason(addr: &str, allowed: &[&str]) -> Option<&'static str> {
    refuse(addr.parse().unwrap(), &ranges(allowed), None)
}

fn ranges(list: &[&str]) -> Vec<IpNet> {
    list.iter().map(|range| range.parse().unwrap()).collect()
}

#[test]
fn both_ends_of_every_denied_range_are_refused_and_its_name_is_given() {
    for (range, name) in NEVER.iter().chain(DENIED) {
        for addr in [range.network(), range.broadcast()] {
            let found = refuse(addr, &[], None);
            assert!(found.is_some(), "{addr} of {name}");
        }
    }
    assert_eq!(reason("10.1.2.3", &[]), Some("10.0.0.0/8 (private)"));
    assert_eq!(reason("::1", &[]), Some("::1 (loopback)"));
}

#[test]
fn public_addresses_beside_the_denied_ranges_pass() {
    for addr in [
        "1.0.0.0",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.1",
        "169.253.255.255",
        "169.255.0.0",
        "168.63.129.15",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.0.3.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "8.8.8.8",
        "2606:4700:4700::1111",
        "2001:1::1",
        "2001:db7::1",
        "2003::1",
        "64:ff9b:2::1",
        "4000::",
    ] {
        assert_eq!(reason(addr, &[]), None, "{addr}");
    }
}

#[test]
fn the_deployer_opens_a_private_range_and_a_document_only_narrows_it() {
    let allowed = ranges(&["10.0.0.0/8", "fc00::/7"]);
    let addr = |text: &str| text.parse::<IpAddr>().unwrap();
    let narrowed = ranges(&["10.1.0.0/16", "192.168.0.0/16"]);
    assert_eq!(refuse(addr("10.1.0.1"), &allowed, None), None);
    assert_eq!(refuse(addr("fd00::1"), &allowed, None), None);
    assert_eq!(refuse(addr("10.1.0.1"), &allowed, Some(&narrowed)), None);
    assert!(refuse(addr("10.2.0.1"), &allowed, Some(&narrowed)).is_some());
    assert!(refuse(addr("192.168.0.1"), &allowed, Some(&narrowed)).is_some());
    assert!(refuse(addr("10.1.0.1"), &allowed, Some(&[])).is_some());
    assert_eq!(refuse(addr("8.8.8.8"), &allowed, Some(&narrowed)), None, "public addresses need no leave");
}

#[test]
fn nothing_opens_link_local_or_metadata_whatever_it_is_dressed_in() {
    let everything = &["0.0.0.0/0", "::/0", "169.254.0.0/16", "169.254.169.254/32", "fe80::/10"];
    for addr in [
        "169.254.169.254",
        "169.254.0.1",
        "168.63.129.16",
        "100.100.100.200",
        "192.0.0.192",
        "fd00:ec2::254",
        "fd20:ce::254",
        "fe80::1",
        "febf::1",
        "::ffff:169.254.169.254",
        "::169.254.169.254",
        "::ffff:0:169.254.169.254",
        "64:ff9b::169.254.169.254",
        "64:ff9b:1::169.254.169.254",
        "64:ff9b:1:a9fe:a9:fe00::",
        "64:ff9b:1:a9:fe:a9fe::",
        "64:ff9b:1:0:a9:fea9:fe00::",
        "2002:a9fe:a9fe::1",
        "2001:0:a9fe:a9fe::1",
        "2001:0:808:808::5601:5601",
    ] {
        let found = reason(addr, everything).unwrap_or_else(|| panic!("{addr} must be refused"));
        assert!(found.contains("never"), "{addr}: {found}");
    }
}

#[test]
fn a_translated_address_needs_leave_for_both_its_forms() {
    for addr in ["::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:0:7f00:1::"] {
        assert!(reason(addr, &[]).is_some(), "{addr}");
        assert!(reason(addr, &["::/0"]).is_some(), "{addr} without leave for what is inside");
        assert!(reason(addr, &["0.0.0.0/0"]).is_some(), "{addr} without leave for its own range");
        assert_eq!(reason(addr, &["0.0.0.0/0", "::/0"]), None, "{addr}");
    }
    assert_eq!(
        reason("64:ff9b::8.8.8.8", &["64:ff9b::/96"]),
        None,
        "a NAT64 network reaches public addresses"
    );
    assert_eq!(reason("64:ff9b::10.0.0.1", &["64:ff9b::/96"]), Some("10.0.0.0/8 (private)"));
}

#[test]
fn loopback_is_what_dev_allows() {
    for addr in ["127.0.0.1", "127.255.255.255", "::1"] {
        assert_eq!(refuse(addr.parse().unwrap(), &LOOPBACK, None), None);
    }
    assert!(refuse("10.0.0.1".parse().unwrap(), &LOOPBACK, None).is_some());
}
