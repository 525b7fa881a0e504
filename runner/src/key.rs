//! The key pair with which a runner on another machine proves who it is. The private half never leaves its folder.

use std::{
    fs::{self, OpenOptions},
    io::{self, ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use domain::{RunnerId, runner::link_proof};

use crate::folders::private_folder;

const FILE: &str = "key";

pub struct Key(Ed25519KeyPair);

impl Key {
    /// The one in this folder; a new one is on the disk before it is used.
    pub fn open_or_make(state_dir: &Path) -> io::Result<Self> {
        if let Some(key) = Self::open(state_dir)? {
            return Ok(key);
        }
        private_folder(state_dir)?;
        let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| io::Error::other("no key could be made"))?;
        let draft = state_dir.join("key.new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(made.as_ref())?;
        file.sync_all()?;
        fs::rename(draft, state_dir.join(FILE))?;
        fs::File::open(state_dir)?.sync_all()?;
        read(made.as_ref())
    }

    /// Nothing for a runner inside a server, which proves nothing.
    pub fn open(state_dir: &Path) -> io::Result<Option<Self>> {
        match fs::read(state_dir.join(FILE)) {
            Ok(bytes) => read(&bytes).map(Some),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The half that the server is shown, as base64.
    pub fn public(&self) -> String {
        BASE64_STANDARD.encode(self.0.public_key())
    }

    /// For a link over which the server has said this nonce.
    pub fn prove(&self, nonce: &str, runner: RunnerId) -> String {
        BASE64_STANDARD.encode(self.0.sign(link_proof(nonce, runner).as_bytes()))
    }
}

fn read(bytes: &[u8]) -> io::Result<Key> {
    let broken = |_| io::Error::new(ErrorKind::InvalidData, "the file key holds no Ed25519 key");
    Ed25519KeyPair::from_pkcs8(bytes).map(Key).map_err(broken)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Key::open(folder.path()).unwrap().is_none());
        let made = Key::open_or_make(folder.path()).unwrap();
        assert_eq!(Key::open_or_make(folder.path()).unwrap().public(), made.public());
        assert_eq!(fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode() & 0o777, 0o600);
        let id = RunnerId(Uuid::from_u128(1));
        let signature = BASE64_STANDARD.decode(made.prove("nonce", id)).unwrap();
        let public = UnparsedPublicKey::new(&ED25519, BASE64_STANDARD.decode(made.public()).unwrap());
        assert!(public.verify(link_proof("nonce", id).as_bytes(), &signature).is_ok());
        assert!(public.verify(link_proof("other", id).as_bytes(), &signature).is_err());
    }
}
