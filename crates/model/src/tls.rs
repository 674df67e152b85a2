//! The TLS provider, chosen in one place: ring, because it builds with a C compiler alone.

use std::sync::Once;

/// Makes ring the provider of this process. May be called any number of times, by anyone who is
/// about to open a TLS connection; a provider that is already installed stays.
pub fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // The error only says that another provider came first, which is what was wanted.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}
