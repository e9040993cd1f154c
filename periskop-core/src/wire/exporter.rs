//! The exporter format: lenient in, exact out.
