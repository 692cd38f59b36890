//! The partition of a key, as the Java client's default partitioner chooses it.
//!
//! `toPositive(murmur2(key)) % partitions`: consumers and other producers that compute partitions agree with us.

/// The hash of `key` with the seed of `org.apache.kafka.common.utils.Utils.murmur2`.
pub fn murmur2(key: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;

    // The Java array's length is an `int`, so is what enters the hash.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the length enters the hash modulo 2^32, as in Java"
    )]
    let mut hash = SEED ^ (key.len() as u32);
    let (words, rest) = key.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> R;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !rest.is_empty() {
        for (place, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * place);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

/// The partition of `key` among `partitions`; 0 when there are none.
pub fn partition(key: &[u8], partitions: u32) -> i32 {
    let positive = murmur2(key) & 0x7fff_ffff;
    let chosen = positive.checked_rem(partitions).unwrap_or(0);
    i32::try_from(chosen).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the Java client's UtilsTest.testMurmur2.
    #[test]
    fn hashes_as_the_java_client_does() {
        for (key, hash) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), hash, "{key}");
        }
    }

    /// From librdkafka's rdmurmur2.c, which took them from the Java client.
    #[test]
    fn hashes_as_librdkafka_does() {
        for (key, hash) in [
            ("kafka", 0xd067_cf64_u32),
            ("giberish123456789", 0x8f55_2b0c),
            ("1234", 0x9fc9_7b14),
        ] {
            assert_eq!(murmur2(key.as_bytes()), hash, "{key}");
        }
        assert_eq!(murmur2(b""), 0x106e_08d9);
    }

    #[test]
    fn a_partition_is_always_one_of_those_there_are() {
        for partitions in [1, 2, 3, 16, 1000] {
            for n in 0..1000 {
                let chosen = partition(format!("host:/var/log/{n}.log").as_bytes(), partitions);
                assert!((0..i32::try_from(partitions).unwrap()).contains(&chosen));
            }
        }
        assert_eq!(partition(b"foobar", 0), 0);
    }
}
