//! The cell's own certificate authority. Its key lives in this process' memory and nowhere else.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};
use recto_protocol::egress::Host;
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::shared::provider;

/// Most hosts whose certificates are kept.
const MOST_KEPT: usize = 256;

/// An authority that only the programs of one cell trust.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    pem: String,
    /// One key for all hosts: whoever had one of them would have this process' memory.
    key: KeyPair,
    kept: Mutex<HashMap<Host, Arc<ServerConfig>>>,
}

impl Authority {
    pub(crate) fn new() -> Result<Self, rcgen::Error> {
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, "Recto cell authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        dated(&mut params);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        Ok(Self {
            pem: issuer.pem(),
            issuer,
            key: KeyPair::generate()?,
            kept: Mutex::new(HashMap::new()),
        })
    }

    /// The certificate that programs in the cell must trust.
    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// How to speak TLS in the name of a host.
    pub(crate) fn server(&self, host: &Host) -> Result<Arc<ServerConfig>, String> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = kept.get(host) {
            return Ok(config.clone());
        }
        let config = Arc::new(self.make(host)?);
        if kept.len() >= MOST_KEPT {
            kept.clear();
        }
        kept.insert(host.clone(), config.clone());
        Ok(config)
    }

    fn make(&self, host: &Host) -> Result<ServerConfig, String> {
        let leaf = self.leaf(host).map_err(|error| error.to_string())?;
        let key = PrivateKeyDer::Pkcs8(self.key.serialize_der().into());
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .and_then(|config| {
                let chain = vec![leaf, self.issuer.der().clone()];
                config.with_no_client_auth().with_single_cert(chain, key)
            })
            .map_err(|error| error.to_string())?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    fn leaf(&self, host: &Host) -> Result<CertificateDer<'static>, rcgen::Error> {
        let name = host.to_string();
        let mut params = CertificateParams::new([name.trim_matches(['[', ']']).to_owned()])?;
        // The name may be longer than a common name can be, and nobody looks at it any more.
        params
            .distinguished_name
            .push(DnType::CommonName, "Recto cell");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        dated(&mut params);
        Ok(params.signed_by(&self.key, &self.issuer)?.der().clone())
    }
}

/// Dates that hold whatever the clock says: the key does not outlive the cell.
fn dated(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2049, 12, 31);
}
