//! Is a gateway's configuration sound?
