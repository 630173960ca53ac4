//! Argon2id (RFC 9106) into memory that is used again, and the PHC strings that are kept.

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{ARGON2ID_IDENT, Algorithm, Argon2, Block, Params, Version};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use secrecy::{ExposeSecret as _, SecretString};

use super::Verdict;
use crate::error::Failure;
use crate::identity::ring::random;

/// OWASP's least for Argon2id: 19 MiB, two passes, one lane.
const TODAY: Params = match Params::new(19_456, 2, 1, Some(OUTPUT)) {
    Ok(params) => params,
    Err(_) => panic!("these are within Argon2's limits"),
};

/// Bytes of a hash.
const OUTPUT: usize = 32;

/// What a hash fills: as much as the largest one needed so far.
#[derive(Default)]
pub(super) struct Memory(Vec<Block>);

/// A fresh salt and the hash, as a PHC string.
pub(super) fn hash(memory: &mut Memory, password: &SecretString) -> String {
    let salt: [u8; 16] = random();
    let output = argon2id(memory, TODAY, password, &salt);
    let written = PasswordHash {
        algorithm: ARGON2ID_IDENT,
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(&TODAY).expect("three numbers fit"),
        salt: Some(Salt::new(&salt).expect("16 bytes are a salt")),
        hash: Some(Output::new(&output).expect("32 bytes are an output")),
    };
    written.to_string()
}

/// Compares with a kept PHC string; without one, hashes all the same.
pub(super) fn verify(
    memory: &mut Memory,
    password: &SecretString,
    kept: Option<&str>,
) -> Result<Verdict, Failure> {
    let Some(kept) = kept else {
        argon2id(memory, TODAY, password, &[0; 16]);
        return Ok(Verdict::Wrong);
    };
    let unreadable = || Failure::internal("a kept password hash cannot be read");
    let kept = PasswordHash::new(kept).map_err(|_| unreadable())?;
    let params = Params::try_from(&kept).map_err(|_| unreadable())?;
    let (Some(salt), Some(expected)) = (kept.salt, kept.hash) else { return Err(unreadable()) };
    if kept.algorithm != ARGON2ID_IDENT || kept.version != Some(Version::V0x13.into()) {
        return Err(unreadable());
    }
    let weaker = is_weaker(&params);
    let found = argon2id(memory, params, password, &salt);
    if verify_slices_are_equal(&found, expected.as_bytes()).is_err() {
        return Ok(Verdict::Wrong);
    }
    Ok(Verdict::Right { rehash: weaker.then(|| hash(memory, password)) })
}

fn is_weaker(params: &Params) -> bool {
    params.m_cost() < TODAY.m_cost() || params.t_cost() < TODAY.t_cost()
}

fn argon2id(memory: &mut Memory, params: Params, password: &SecretString, salt: &[u8]) -> Vec<u8> {
    let blocks = params.block_count();
    if memory.0.len() < blocks {
        memory.0.resize(blocks, Block::new());
    }
    let mut output = vec![0; params.output_len().unwrap_or(OUTPUT)];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(
            password.expose_secret().as_bytes(),
            salt,
            &mut output,
            memory.0.as_mut_slice(),
        )
        .expect("a PHC string's salt and output are within Argon2's limits");
    output
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> SecretString {
        SecretString::from(text)
    }

    #[test]
    fn a_hash_says_how_it_was_made_and_is_salted() {
        let mut memory = Memory::default();
        let one = hash(&mut memory, &secret("correct horse battery"));
        assert!(one.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{one}");
        assert_ne!(one, hash(&mut memory, &secret("correct horse battery")));
    }

    #[test]
    fn only_the_password_is_right() {
        let mut memory = Memory::default();
        let kept = hash(&mut memory, &secret("correct horse battery"));
        let mut verdict = |password: &str, kept| verify(&mut memory, &secret(password), kept).unwrap();
        assert_eq!(verdict("correct horse battery", Some(kept.as_str())), Verdict::Right { rehash: None });
        assert_eq!(verdict("Correct horse battery", Some(&kept)), Verdict::Wrong);
        assert_eq!(verdict("", Some(&kept)), Verdict::Wrong);
        assert_eq!(verdict("correct horse battery", None), Verdict::Wrong);
    }

    /// Made by PyPI's argon2-cffi 25.1.0: `PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1)`.
    #[test]
    fn a_hash_of_another_program_counts_and_a_weak_one_is_made_anew() {
        let kept = "$argon2id$v=19$m=8192,t=1,p=1$hlvm/CroKzlN7HMFDTg/cg$dCto/vYZEUrOZVzTqgqcXgB7TW1BLkEzIta8deZkwXc";
        let mut memory = Memory::default();
        let Ok(Verdict::Right { rehash: Some(stronger) }) =
            verify(&mut memory, &secret("correct horse battery"), Some(kept))
        else {
            panic!("it is the password, under weaker parameters")
        };
        let again = verify(&mut memory, &secret("correct horse battery"), Some(&stronger)).unwrap();
        assert_eq!(again, Verdict::Right { rehash: None });
        assert_eq!(verify(&mut memory, &secret("wrong"), Some(kept)).unwrap(), Verdict::Wrong);
    }

    #[test]
    fn what_is_no_hash_of_ours_is_a_fault_and_not_a_wrong_password() {
        for kept in [
            "",
            "secret",
            "$argon2i$v=19$m=8192,t=1,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
            "$argon2id$v=19$m=8,t=1,p=1",
        ] {
            assert!(verify(&mut Memory::default(), &secret("x"), Some(kept)).is_err(), "{kept}");
        }
    }

    /// Time this thread has had on a processor: what others take from it does not count.
    fn cpu_time() -> u64 {
        let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
        told.split(' ').next().unwrap().parse().unwrap()
    }

    #[test]
    fn an_unknown_user_costs_what_a_wrong_password_costs() {
        let mut memory = Memory::default();
        let kept = hash(&mut memory, &secret("correct horse battery"));
        let mut least = [u64::MAX; 2];
        for _ in 0..20 {
            for (least, kept) in least.iter_mut().zip([Some(kept.as_str()), None]) {
                let began = cpu_time();
                verify(&mut memory, &secret("a wrong password"), kept).unwrap();
                *least = (*least).min(cpu_time() - began);
            }
        }
        let ratio = least[0] as f64 / least[1] as f64;
        assert!((0.8..1.25).contains(&ratio), "{least:?} nanoseconds");
    }
}
