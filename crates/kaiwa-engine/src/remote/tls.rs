//! The one TLS configuration: ring, and the roots compiled in.

use std::sync::LazyLock;

use rustls::{ClientConfig, RootCertStore};

static CONFIG: LazyLock<ClientConfig> = LazyLock::new(|| {
    let roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    let provider = rustls::crypto::ring::default_provider().into();
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        // ring implements every version that rustls calls safe.
        .expect("ring has the default protocol versions")
        .with_root_certificates(roots)
        .with_no_client_auth()
});

/// The configuration, built at its first use.
pub(crate) fn config() -> ClientConfig {
    CONFIG.clone()
}
