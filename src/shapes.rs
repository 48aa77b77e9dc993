//! Synthetic networks of realistic shape: yields each member's sponsor in turn, always the same for the same
//! shape and seed.
//!
//! The recipe and its weights were fitted to real recruiting trees. For join number `i` draw a lag from
//! `1..=i` with P(lag) ~ lag^-b: people are recruited by recent members. Accept that candidate with a
//! probability that depends on how many recruits it already has: in the matrix it was fitted to, the second
//! and third recruit come easily, the fourth hardly ever, and the few who pass it do not stop. Each join
//! takes some tens of draws, whatever the size.
//!
//! The numbers are the same on every platform: the generator (PCG-64) and its integers are value-stable, and
//! floats use only `+ - * /` and `floor`, which IEEE 754 fixes to the last bit. The platform's logarithm and
//! exponential are not value-stable, so this file has its own.

use rand_pcg::{Pcg64, rand_core::RngCore};
use strum::IntoStaticStr;
use uuid::Uuid;

use crate::core::types::MemberId;

/// The shape of a made-up sponsor tree.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum, IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum Shape {
    /// Fitted to a real paid matrix of 4,016 members: deep and narrow, three recruits or none
    Real,
    /// Sponsor drawn uniformly among all
    Uniform,
    /// Preferential attachment: the more recruits, the more come
    Pa,
    /// One sponsor for all; meant for a plan of unlimited width, where it makes one very wide node
    Star,
    /// Each sponsored by the one before
    Chain,
    /// One sponsor for all; meant for a plan of limited width, where everybody spills below one root
    Root,
    /// Fitted to the mentors of `FreeBSD` committers: slow, long-lived sponsors
    Freebsd,
    /// Fitted to a coupon study among jazz musicians: at most eight recruits each
    Jazz,
}

impl Shape {
    /// The name on the command line and in reports.
    pub fn name(self) -> &'static str {
        self.into()
    }

    fn fit(self) -> Option<&'static Fit> {
        match self {
            Shape::Real => Some(&REAL),
            Shape::Freebsd => Some(&FREEBSD),
            Shape::Jazz => Some(&JAZZ),
            Shape::Uniform | Shape::Pa | Shape::Star | Shape::Chain | Shape::Root => None,
        }
    }
}

/// A fitted recruiting process.
struct Fit {
    /// Exponent `b` of the lag.
    lag_exponent: f64,
    /// Relative probability of a candidate with 0, 1, 2, 3, 4-5, 6-9, 10 or more recruits.
    weights: [f64; 7],
    recruits_max: u32,
}

/// `b` = 1.05 rather than the fitted 1.12, which comes out a fifth too deep.
const REAL: Fit =
    Fit { lag_exponent: 1.05, weights: [1.0, 8.8, 27.8, 0.91, 10.8, 23.5, 159.0], recruits_max: u32::MAX };
const FREEBSD: Fit =
    Fit { lag_exponent: 0.51, weights: [1.0, 3.9, 4.8, 10.2, 8.3, 9.7, 16.3], recruits_max: u32::MAX };
const JAZZ: Fit = Fit { lag_exponent: 0.68, weights: [1.0, 2.1, 4.1, 3.3, 2.9, 2.0, 0.0], recruits_max: 8 };

/// Class of a recruit count in [`Fit::weights`]: saturates at 10.
const CLASS_OF: [u8; 11] = [0, 1, 2, 3, 4, 4, 5, 5, 5, 5, 6];

/// Iterator over sponsors: item `i` is the sponsor of member `i`, numbered from 0; `None` for member 0, the
/// root.
///
/// Memory: 1 byte per member for the fitted shapes, 4 for `pa`, none for the others.
pub struct Sponsors {
    shape: Shape,
    random: Pcg64,
    next: u32,
    members: u32,
    /// Recruits of each member, saturating at 255: for fitted shapes.
    recruits: Vec<u8>,
    /// Sponsor of each member but the first: for `pa`.
    earlier: Vec<u32>,
    /// Acceptance probability per class, in units of 2^-53.
    accept: [u64; 7],
    lag_exponent: f64,
}

/// Returns the sponsors of `members` members.
pub fn sponsors(shape: Shape, members: u32, seed: u64) -> Sponsors {
    let fit = shape.fit();
    let weights = fit.map_or([1.0; 7], |fit| fit.weights);
    let largest = weights.iter().copied().fold(0.0, f64::max);
    Sponsors {
        shape,
        random: Pcg64::new(u128::from(seed), u128::from(shape as u8)),
        next: 0,
        members,
        recruits: Vec::new(),
        earlier: Vec::new(),
        // Truncation is intended: a chance of 2^53 in 2^53 always accepts.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "chances are between 0 and 2^53"
        )]
        accept: weights.map(|weight| (weight / largest * DRAWS) as u64),
        lag_exponent: fit.map_or(1.0, |fit| fit.lag_exponent),
    }
}

/// Draws have 53 bits, which a double holds exactly.
const DRAWS: f64 = 9_007_199_254_740_992.0;

impl Iterator for Sponsors {
    type Item = Option<u32>;

    fn next(&mut self) -> Option<Option<u32>> {
        let member = self.next;
        if self.members <= member {
            return None;
        }
        self.next += 1;
        if member == 0 {
            self.recruits.push(0);
            return Some(None);
        }
        Some(Some(match self.shape {
            Shape::Star | Shape::Root => 0,
            Shape::Chain => member - 1,
            Shape::Uniform => self.below(member),
            Shape::Pa => self.preferred(member),
            Shape::Real | Shape::Freebsd | Shape::Jazz => self.recruiter(member),
        }))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = (self.members - self.next) as usize;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Sponsors {}

impl Sponsors {
    /// Draws uniformly below `bound`; the bias of 2^-32 does not matter here.
    fn below(&mut self, bound: u32) -> u32 {
        let scaled = u128::from(self.random.next_u64()) * u128::from(bound);
        u32::try_from(scaled >> 64).expect("the high half of the product is below the bound")
    }

    /// P ~ recruits + 1: each member has one ticket of its own and one for each recruit.
    fn preferred(&mut self, member: u32) -> u32 {
        let ticket = self.below(2 * member - 1);
        let sponsor = match ticket.checked_sub(member) {
            None => ticket,
            Some(recruit) => self.earlier[recruit as usize],
        };
        self.earlier.push(sponsor);
        sponsor
    }

    fn recruiter(&mut self, member: u32) -> u32 {
        let recruits_max = self.shape.fit().map_or(u32::MAX, |fit| fit.recruits_max);
        loop {
            let candidate = member - self.lag(member);
            let recruits = self.recruits[candidate as usize];
            let class = CLASS_OF[usize::from(recruits.min(10))];
            let accepted = (self.random.next_u64() >> 11) < self.accept[usize::from(class)];
            if accepted && u32::from(recruits) < recruits_max {
                self.recruits[candidate as usize] = recruits.saturating_add(1);
                self.recruits.push(0);
                return candidate;
            }
        }
    }

    /// Draws a lag in `1..=longest` with P(lag) ~ lag^-b: the inverse of the integral of x^-b over
    /// `1..longest + 1`, rounded down.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "between 1 and 2^32"
    )]
    fn lag(&mut self, longest: u32) -> u32 {
        let chance = (self.random.next_u64() >> 11) as f64 / DRAWS;
        let end = ln(f64::from(longest) + 1.0);
        let rest = 1.0 - self.lag_exponent;
        let lag = if rest == 0.0 {
            exp(chance * end)
        } else {
            exp(ln(1.0 + chance * (exp(rest * end) - 1.0)) / rest)
        };
        (lag as u32).clamp(1, longest)
    }
}

/// Natural logarithm of a positive, normal number, accurate to some 1e-15.
fn ln(value: f64) -> f64 {
    let bits = value.to_bits();
    let mut exponent = i32::try_from(bits >> 52).expect("the sign is plus, so 11 bits are left") - 1_023;
    let mut mantissa = f64::from_bits((bits & ((1 << 52) - 1)) | (1_023 << 52));
    if std::f64::consts::SQRT_2 < mantissa {
        mantissa /= 2.0;
        exponent += 1;
    }
    // ln m = 2 artanh s with s = (m - 1) / (m + 1), |s| < 0.172.
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let square = s * s;
    let mut series = 0.0;
    for odd in [21.0, 19.0, 17.0, 15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0, 1.0] {
        series = series * square + 1.0 / odd;
    }
    2.0 * s * series + f64::from(exponent) * std::f64::consts::LN_2
}

/// e to the power of `value`, -700 to 700, accurate to some 1e-15 relative.
fn exp(value: f64) -> f64 {
    let halvings = (value / std::f64::consts::LN_2 + 0.5).floor();
    let rest = value - halvings * std::f64::consts::LN_2;
    let mut series = 1.0;
    for divisor in [14.0, 13.0, 12.0, 11.0, 10.0, 9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0] {
        series = series * rest / divisor + 1.0;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the exponent is within 1023 +- 1010"
    )]
    let scale = f64::from_bits(((halvings + 1_023.0) as u64) << 52);
    series * scale
}

/// Returns the id of member `number` of the synthetic network with this seed: a version-5 UUID, so that two
/// runs and two machines agree.
pub fn member_id(seed: u64, number: u32) -> MemberId {
    let mut name = [0; 12];
    name[..8].copy_from_slice(&seed.to_be_bytes());
    name[8..].copy_from_slice(&number.to_be_bytes());
    MemberId(*Uuid::new_v5(&MADE_UP, &name).as_bytes())
}

/// Namespace of the ids of synthetic members: the version-5 UUID of `made-up.upline` among host names.
const MADE_UP: Uuid = Uuid::from_u128(0xc29c_6a0a_f99e_5f9e_8753_f718_6909_e1e1);

#[cfg(test)]
mod tests {
    use super::*;

    /// Statistics of a sponsor tree, as published for the fitted shapes.
    #[derive(Debug)]
    struct Figures {
        mean_depth: f64,
        max_depth: u32,
        max_recruits: u32,
        /// Fractions of all members with 0, 1, 2, 3, and 4 or more recruits.
        parts: [f64; 5],
    }

    fn figures(shape: Shape, members: u32, seed: u64) -> Figures {
        let mut depth = vec![0_u32; members as usize];
        let mut recruits = vec![0_u32; members as usize];
        for (member, sponsor) in sponsors(shape, members, seed).enumerate() {
            let Some(sponsor) = sponsor.map(|sponsor| sponsor as usize) else { continue };
            assert!(sponsor < member, "{shape:?}: {sponsor} sponsors {member}");
            depth[member] = depth[sponsor] + 1;
            recruits[sponsor] += 1;
        }
        let part = |wanted: &dyn Fn(u32) -> bool| {
            recruits.iter().filter(|count| wanted(**count)).count() as f64 / f64::from(members)
        };
        Figures {
            mean_depth: depth.iter().map(|depth| f64::from(*depth)).sum::<f64>() / f64::from(members),
            max_depth: *depth.iter().max().unwrap(),
            max_recruits: *recruits.iter().max().unwrap(),
            parts: [
                part(&|n| n == 0),
                part(&|n| n == 1),
                part(&|n| n == 2),
                part(&|n| n == 3),
                part(&|n| 4 <= n),
            ],
        }
    }

    /// Returns the median of an odd number of values.
    fn median(values: impl Iterator<Item = f64>) -> f64 {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    }

    /// Published for n = 4,016 from three seeds, next to the real network: mean depth 11.5 to 14.2 (13.5),
    /// deepest 32 to 34 (27), most recruits 38 to 58 (42), fractions 0.64-0.65, 0.08, 0.02-0.03, 0.21, 0.03
    /// (0.62, 0.09, 0.04, 0.22, 0.03). Single runs scatter widely (mean depth 10 to 22 over a hundred seeds,
    /// since a long first leg carries everybody), so medians are compared.
    #[test]
    fn real_has_the_published_statistics() {
        let runs: Vec<Figures> = (0..31).map(|seed| figures(Shape::Real, 4_016, seed)).collect();
        let within = |what: &str, low: f64, high: f64, figure: &dyn Fn(&Figures) -> f64| {
            let value = median(runs.iter().map(figure));
            assert!(
                (low..=high).contains(&value),
                "{what} is {value}, published {low} to {high}; all runs: {runs:?}"
            );
        };
        within("mean depth", 11.5, 15.5, &|f| f.mean_depth);
        within("max depth", 27.0, 38.0, &|f| f64::from(f.max_depth));
        within("max recruits", 38.0, 58.0, &|f| f64::from(f.max_recruits));
        for (class, (low, high)) in
            [(0.64, 0.655), (0.075, 0.09), (0.02, 0.03), (0.20, 0.22), (0.03, 0.04)].into_iter().enumerate()
        {
            within(&format!("part with {class} recruits"), low, high, &|f| f.parts[class]);
        }
    }

    #[test]
    fn other_shapes_are_what_they_say() {
        const MEMBERS: u32 = 20_000;
        let last = MEMBERS - 1;
        for shape in [Shape::Star, Shape::Root] {
            let f = figures(shape, MEMBERS, 1);
            assert_eq!((f.max_depth, f.max_recruits), (1, last), "{shape:?}");
        }
        let chain = figures(Shape::Chain, MEMBERS, 1);
        assert_eq!((chain.max_depth, chain.max_recruits), (last, 1));
        // Uniform: mean depth about ln n = 9.9. Preferential attachment: about half of it, and hubs.
        let uniform = figures(Shape::Uniform, MEMBERS, 1);
        assert!((8.0..=11.5).contains(&uniform.mean_depth), "{uniform:?}");
        assert!(uniform.max_recruits < 40, "{uniform:?}");
        let pa = figures(Shape::Pa, MEMBERS, 1);
        assert!((3.5..=6.5).contains(&pa.mean_depth), "{pa:?}");
        assert!(100 < pa.max_recruits, "{pa:?}");
        let jazz = figures(Shape::Jazz, MEMBERS, 1);
        assert!(jazz.max_recruits <= 8, "{jazz:?}");
        let freebsd = figures(Shape::Freebsd, MEMBERS, 1);
        assert!(freebsd.mean_depth < 12.0 && 20 < freebsd.max_recruits, "{freebsd:?}");
    }

    /// Pins the exact numbers: they must not change with a platform, a compiler or a dependency, since
    /// benchmarks and digests depend on them.
    #[test]
    fn the_same_shape_and_seed_give_the_same_network_everywhere() {
        let table = [
            (Shape::Real, 9_784_693_865_931_665_625),
            (Shape::Uniform, 12_503_690_943_615_722_869),
            (Shape::Pa, 1_978_024_145_472_356_192),
            (Shape::Freebsd, 13_961_356_918_858_948_027),
            (Shape::Jazz, 2_109_045_222_556_361_551),
        ];
        for (shape, expected) in table {
            let bytes: Vec<u8> = sponsors(shape, 10_000, 7)
                .flat_map(|sponsor| sponsor.unwrap_or(u32::MAX).to_le_bytes())
                .collect();
            assert_eq!(xxhash_rust::xxh3::xxh3_64(&bytes), expected, "{shape:?}");
        }
        assert_eq!(member_id(7, 3).to_string(), "2b22e1a6-0289-5314-a6d2-6b688bb468fa");
        assert_ne!(member_id(7, 3), member_id(8, 3));
    }

    #[test]
    fn small_networks_are_whole() {
        for shape in <Shape as clap::ValueEnum>::value_variants() {
            for members in 0..5 {
                let all: Vec<_> = sponsors(*shape, members, 1).collect();
                assert_eq!(all.len(), members as usize, "{shape:?}");
                assert_eq!(
                    all.iter().filter(|sponsor| sponsor.is_none()).count(),
                    usize::from(0 < members),
                    "{shape:?}"
                );
            }
        }
    }

    #[test]
    fn logarithm_and_exponential_are_close_enough() {
        for step in 1..10_000 {
            let value = f64::from(step) * 0.37;
            assert!((ln(value) - value.ln()).abs() < 1e-14, "ln {value}");
            let power = f64::from(step - 5_000) * 0.0021;
            assert!((exp(power) / power.exp() - 1.0).abs() < 1e-14, "exp {power}");
        }
    }
}
