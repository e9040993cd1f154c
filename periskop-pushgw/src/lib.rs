//! periskop-pushgw
