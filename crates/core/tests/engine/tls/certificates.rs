//! Authorities, and certificates that they sign.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use tempfile::TempDir;

/// Who signs.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) certificate: String,
}

/// A certificate and its key, in PEM.
pub(crate) struct Signed {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = named(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    /// A certificate for these hosts and addresses.
    pub(crate) fn sign(&self, name: &str, hosts: &[&str]) -> Signed {
        let key = KeyPair::generate().unwrap();
        let certificate = named(name, hosts).signed_by(&key, &self.issuer).unwrap().pem();
        Signed { certificate, key: key.serialize_pem() }
    }
}

fn named(name: &str, hosts: &[&str]) -> CertificateParams {
    let hosts: Vec<String> = hosts.iter().map(|&host| host.to_owned()).collect();
    let mut params = CertificateParams::new(hosts).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// An authority that the servers trust, one that they do not, and a client of each.
pub(crate) struct Certificates {
    pub(crate) ours: Authority,
    folder: TempDir,
}

impl Certificates {
    pub(crate) fn make() -> Self {
        let (ours, other) = (Authority::new("ours"), Authority::new("another"));
        let made = Self { folder: tempfile::tempdir().unwrap(), ours };
        made.write("ca.pem", &made.ours.certificate);
        made.write("another.pem", &other.certificate);
        for (name, authority) in [("client", &made.ours), ("stranger", &other)] {
            let signed = authority.sign(name, &[]);
            made.write(&format!("{name}.pem"), &signed.certificate);
            made.write(&format!("{name}.key"), &signed.key);
        }
        made
    }

    /// Writes a file that nobody else may read.
    pub(crate) fn write(&self, name: &str, content: &str) {
        fs::write(self.path(name), content).unwrap();
        self.set_mode(name, 0o600);
    }

    pub(crate) fn set_mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The same, as it stands in an address.
    pub(crate) fn file(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }
}
