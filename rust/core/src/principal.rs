//! Who a caller is.
