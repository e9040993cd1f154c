//! Addresses as Go prints them, which is how they stand in Prometheus's labels.

use std::net::IpAddr;

/// What Go prints for an address that is not there.
const NONE: &str = "<nil>";

/// An address in its shortest form, as `net.IP` prints it; `<nil>` for what is none.
pub(crate) fn address(text: &str) -> String {
    text.parse().map_or_else(|_| NONE.to_owned(), |ip: IpAddr| ip.to_canonical().to_string())
}

/// The network of an address with a prefix length, as `net.IPNet` prints it; `<nil>` for what is
/// none.
pub(crate) fn network(text: &str) -> String {
    parse_network(text).unwrap_or_else(|| NONE.to_owned())
}

fn parse_network(text: &str) -> Option<String> {
    let (ip, length) = text.split_once('/')?;
    // Go takes digits only, Rust also a sign.
    let length: u32 = length.bytes().all(|b| b.is_ascii_digit()).then(|| length.parse().ok())??;
    let masked: IpAddr = match ip.parse().ok()? {
        IpAddr::V4(ip) => {
            let host_bits = 32_u32.checked_sub(length)?;
            let mask = u32::MAX.checked_shl(host_bits).unwrap_or(0);
            IpAddr::V4((ip.to_bits() & mask).into())
        }
        IpAddr::V6(ip) => {
            let host_bits = 128_u32.checked_sub(length)?;
            let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
            IpAddr::V6((ip.to_bits() & mask).into())
        }
    };
    Some(format!("{masked}/{length}"))
}

/// Whether Go takes this for an IPv4 address, be it written as IPv6.
pub(crate) fn is_v4(text: &str) -> bool {
    text.parse().is_ok_and(|ip: IpAddr| ip.to_canonical().is_ipv4())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_print_in_their_shortest_form() {
        assert_eq!(
            address("2604:A880:0800:0010:0000:0000:02DD:4001"),
            "2604:a880:800:10::2dd:4001"
        );
        assert_eq!(address("::ffff:10.0.0.1"), "10.0.0.1");
        for none in ["", "10.0.0", "10.0.0.01", "fe80::1%eth0", "host"] {
            assert_eq!(address(none), "<nil>", "{none:?}");
        }
    }

    #[test]
    fn networks_lose_what_is_of_the_host() {
        assert_eq!(network("2001:db8::5/64"), "2001:db8::/64");
        assert_eq!(network("10.1.2.3/0"), "0.0.0.0/0");
        assert_eq!(network("10.1.2.3/32"), "10.1.2.3/32");
        for none in ["", "10.1.2.3", "10.1.2.3/33", "::/129", "::/+1", "x/1", "::/"] {
            assert_eq!(network(none), "<nil>", "{none:?}");
        }
    }

    #[test]
    fn an_address_of_version_4_is_one_in_either_notation() {
        assert!(is_v4("10.0.0.1") && is_v4("::ffff:10.0.0.1"));
        assert!(!is_v4("2001:db8::1") && !is_v4("x"));
    }
}
