//! A chest: shapes whose densities add up, as in a frontal radiograph (the patient's left is on the
//! right). Proportions are by eye; nothing here is a measurement of anybody.

use super::canvas::{Canvas, Point, smooth};
use super::dice::Dice;
use super::hospital::{Lesion, Person, Sex, View};

/// The shapes of one patient, the same on all of the patient's images.
#[derive(Debug, Clone)]
pub(super) struct Chest {
    person: Person,
    /// Half the width of the rib cage.
    width: f32,
    /// Where the diaphragm's domes stand.
    base: f32,
    /// Half the width of the heart.
    heart: f32,
    /// Radius of the aortic knob.
    aorta: f32,
    /// Soft tissue over the lungs.
    thickness: f32,
    /// Height between two ribs.
    rib_step: f32,
    /// How far the ribs drop to the side.
    rib_drop: f32,
    breast: f32,
    lesion: Option<Nodule>,
    /// Small round things that aren't findings: nipples, calcified scars.
    distractors: Vec<(f32, f32, f32, f32)>,
    /// Starts the randomness of what is the same on all images but has many numbers: vessels.
    fine: Dice,
}

/// A lesion with its place.
#[derive(Debug, Clone, Copy)]
struct Nodule {
    x: f32,
    y: f32,
    lesion: Lesion,
    /// Directions of its lobes, radians.
    lobes: [f32; 3],
}

impl Chest {
    /// A patient's chest.
    pub fn of(person: &Person, dice: &mut Dice) -> Self {
        let years = (f32::from(person.age) - 55.0) / 30.0;
        let female = person.sex == Sex::Female;
        let mut chest = Self {
            person: *person,
            width: (if female { 0.68 } else { 0.72 }) + 0.02 * dice.bell(),
            base: 0.50 + 0.04 * dice.bell(),
            heart: 0.335 + 0.025 * years + 0.022 * dice.bell(),
            aorta: 0.080 + 0.012 * years + 0.006 * dice.bell(),
            thickness: 0.02 * dice.bell(),
            rib_step: 0.158 + 0.004 * dice.bell(),
            rib_drop: 0.17 + 0.03 * dice.bell(),
            breast: if female { dice.between(0.03, 0.11) } else { dice.between(0.0, 0.02) },
            lesion: None,
            distractors: Vec::new(),
            fine: Dice::clone(dice),
        };
        for side in [-1.0, 1.0] {
            if dice.chance(0.4) {
                let (x, y) = (side * dice.between(0.38, 0.46), dice.between(0.28, 0.36));
                chest.distractors.push((x, y, 0.028, dice.between(0.02, 0.06)));
            }
        }
        if dice.chance(0.2) {
            let (x, y) = chest.free_place(dice);
            chest.distractors.push((x, y, 0.016, dice.between(0.10, 0.25)));
        }
        chest.lesion = person.lesion.map(|lesion| {
            let (x, y) = chest.free_place(dice);
            let lobes = [0, 1, 2].map(|_| dice.between(0.0, std::f32::consts::TAU));
            Nodule { x, y, lesion, lobes }
        });
        chest
    }

    /// A place well inside a lung and beside the heart.
    fn free_place(&self, dice: &mut Dice) -> (f32, f32) {
        for _ in 0..200 {
            let side = if dice.chance(0.5) { 1.0 } else { -1.0 };
            let (u, y) = (dice.between(0.18, 0.60), dice.between(-0.55, 0.30));
            if self.lung(side, u - 0.05, y) * self.lung(side, u + 0.05, y + 0.06) > 0.9
                && self.heart(side * u, y) < 0.05
            {
                return (side * u, y);
            }
        }
        (-0.38, -0.1)
    }

    /// The density of every place, about 0 (air) to 1.2 (spine behind the heart).
    pub fn density(&self, exposure: &mut Dice) -> Canvas {
        let portable = self.person.view == View::Ap;
        let lung =
            Canvas::of(|x, y| self.air(self.lung(1.0, x, y).max(self.lung(-1.0, -x, y)), x, y));
        let (coarse, fine) = (Canvas::hills(7, exposure), Canvas::hills(40, exposure));
        let mut air = Canvas::empty();
        air.disc((0.33 + 0.03 * exposure.bell(), self.base + 0.05), 0.13, |d| 0.12 * (1.0 - d));
        let mut picture = Canvas::of(|x, y| self.tissue(x, y));
        picture.add(&air, |_| -1.0);
        // Texture follows the tissue; lungs are grainier.
        let body = picture.clone();
        picture.add(&coarse, |at| 0.018 * smooth(0.1, 0.5, body.0[at]));
        picture.add(&fine, |at| 0.006 + 0.010 * lung.0[at]);
        picture.add(&self.bones(), |at| 0.25 + 0.75 * lung.0[at]);
        picture.add(&self.vessels(), |at| lung.0[at]);
        let mut lumps = Canvas::empty();
        for &(x, y, radius, density) in &self.distractors {
            lumps.disc((x, y), radius, |d| density * (1.0 - d * d));
        }
        if let Some(nodule) = &self.lesion {
            nodule.draw(&mut lumps);
        }
        picture.add(&lumps, |at| 0.15 + 0.85 * lung.0[at]);
        let shift = (0.02 * exposure.bell(), 0.02 * exposure.bell());
        let magnify = if portable { 1.20 } else { 1.12 } + 0.015 * exposure.bell();
        picture.moved(shift, 0.018 * exposure.bell(), magnify)
    }

    /// Everything without bones, vessels and lumps.
    fn tissue(&self, x: f32, y: f32) -> f32 {
        let wide = x.abs();
        // The shoulders fall off from the neck; the arms reach the picture's edge.
        let shoulder = -0.97 + 0.30 * smooth(0.20, 1.0, wide) + 0.04 * smooth(0.16, 0.3, wide);
        let flank = 0.965 - 0.12 * smooth(-0.35, 0.35, y) - 0.3 * self.thickness;
        let body =
            smooth(shoulder - 0.02, shoulder + 0.05, y) * smooth(flank + 0.03, flank - 0.03, wide);
        let lung = self.lung(1.0, x, y).max(self.lung(-1.0, -x, y));
        let heart = self.heart(x, y);
        let (middle, knob) = self.middle(x, y);
        let (dome, height) = self.diaphragm(x.signum(), wide);
        let abdomen = smooth(dome - 0.015, dome + 0.05, y) * smooth(0.86, 0.6, wide);
        let windpipe = smooth(0.045, 0.025, (x + 0.01).abs()) * smooth(-0.22, -0.34, y);
        let breast = {
            let (dx, dy) = ((wide - 0.42) / 0.32, (y - 0.24) / 0.32);
            let distance = dx * dx + dy * dy;
            smooth(1.0, 0.75, distance) * (0.4 + 0.6 * smooth(0.0, 0.45, y))
        };
        let edge = 0.06 * smooth(0.55, 0.85, wide) * smooth(0.2, -0.4, y);
        let air = 0.40 * self.air(lung, x, y);
        body * (0.60
            + self.thickness
            + edge
            + 0.09 * heart * (1.0 - abdomen)
            + 0.09 * middle
            + 0.05 * knob
            + 0.17 * abdomen
            + 0.05 * height * abdomen
            + self.breast * breast * (1.0 - 0.9 * abdomen)
            - 0.10 * windpipe
            - air)
    }

    /// The great vessels beside the spine, and the aorta's knob among them.
    fn middle(&self, x: f32, y: f32) -> (f32, f32) {
        let wide = 0.125 + 0.035 * smooth(-0.35, -0.7, y) + 0.05 * smooth(-0.25, 0.15, y);
        let middle = smooth(wide + 0.03, wide - 0.03, (x - 0.015).abs());
        let (dx, dy) = (x - 0.10, y + 0.29);
        let knob = smooth(1.2, 0.75, libm::sqrtf(dx * dx + dy * dy * 0.8) / self.aorta);
        (middle, knob)
    }

    /// What of a lung isn't hidden behind heart and vessels.
    fn air(&self, lung: f32, x: f32, y: f32) -> f32 {
        if lung <= 0.0 {
            return 0.0;
        }
        let (middle, knob) = self.middle(x, y);
        lung * (1.0 - 0.90 * self.heart(x, y).max(middle).max(knob))
    }

    /// Whether a place is inside the lung of a side (1 the patient's left); `u` counts from the
    /// middle outwards.
    fn lung(&self, side: f32, u: f32, y: f32) -> f32 {
        if u < 0.0 {
            return 0.0;
        }
        const APEX: f32 = -0.76;
        let down = ((y - APEX) / 1.25).clamp(0.0, 1.0);
        let outer = self.width * (0.20 + 0.80 * libm::sqrtf(down * (2.0 - 1.05 * down)));
        let inner = 0.075 + 0.05 * smooth(-0.2, -0.6, y) * down;
        let (dome, _) = self.diaphragm(side, u);
        smooth(outer + 0.015, outer - 0.03, u)
            * smooth(inner, inner + 0.05, u)
            * smooth(dome + 0.015, dome - 0.02, y)
            * smooth(APEX, APEX + 0.09, y + 0.25 * (u - 0.26) * (u - 0.26))
    }

    /// Where the diaphragm stands, and how high its dome is there (0 to 1).
    fn diaphragm(&self, side: f32, u: f32) -> (f32, f32) {
        let shallow = if self.person.view == View::Ap { 0.07 } else { 0.0 };
        let across = (u - 0.34) / 0.40;
        let height = 1.0 - across * across;
        let right = if side < 0.0 { 0.05 } else { 0.0 };
        (self.base - shallow - right + 0.12 - 0.17 * height, height.max(0.0))
    }

    fn heart(&self, x: f32, y: f32) -> f32 {
        let size = self.heart * if self.person.view == View::Ap { 1.12 } else { 1.0 };
        let (dx, dy) = (x - 0.11, y - 0.27);
        let (along, across) = (0.88 * dx + 0.47 * dy, 0.88 * dy - 0.47 * dx);
        let (a, b) = (along / size, across / (0.78 * size));
        smooth(1.10, 0.88, libm::sqrtf(a * a + b * b))
    }

    fn bones(&self) -> Canvas {
        let mut bones = Canvas::empty();
        let cortex = |across: f32| {
            let a = across * across;
            (0.55 + 0.45 * a) * (1.0 - a * a * a * a)
        };
        for side in [-1.0, 1.0] {
            for rib in 0..8 {
                let top = -0.74 + self.rib_step * rib as f32;
                let (drop, end) = (self.rib_drop, self.width + 0.03);
                let reach = end * (0.55 + 0.45 * smooth(-0.5, 3.0, rib as f32));
                let posterior = |x: f32| {
                    let v = ((side * x - 0.07) / (reach - 0.07)).clamp(0.0, 1.0);
                    top - 0.09 * v * (1.0 - v) + 0.05 * v + drop * v * v * v
                };
                let ends = if side > 0.0 { (0.07, reach) } else { (-reach, -0.07) };
                bones.band(ends, 0.034, posterior, |_, across| 0.105 * cortex(across));
                let anterior = |x: f32| {
                    let v = ((side * x - 0.07) / (reach - 0.07)).clamp(0.0, 1.0);
                    top + 0.05 + drop + 0.24 * (1.0 - v * v)
                };
                let ends = if side > 0.0 { (0.25, reach) } else { (-reach, -0.25) };
                bones.band(ends, 0.036, anterior, |x, across| {
                    0.040 * cortex(across) * smooth(0.22, 0.42, side * x)
                });
            }
            let collar = |x: f32| -0.63 - 0.20 * side * x + 0.05 * libm::sinf(6.0 * side * x);
            let ends = if side > 0.0 { (0.07, 0.70) } else { (-0.70, -0.07) };
            bones.band(ends, 0.030, collar, |_, across| 0.14 * cortex(across));
            // The shoulder blade's inner edge.
            let blade = |x: f32| -0.55 + 3.0 * (side * x - 0.60);
            let ends = if side > 0.0 { (0.60, 0.80) } else { (-0.80, -0.60) };
            bones.band(ends, 0.030, blade, |_, across| 0.045 * cortex(across));
        }
        let spine = Canvas::of(|x, y| {
            let column = smooth(0.085, 0.065, x.abs());
            let disc = 0.5 - 0.5 * libm::cosf(60.0 * y);
            column * (0.07 + 0.05 * disc * disc)
        });
        bones.add(&spine, |_| 1.0);
        bones
    }

    fn vessels(&self) -> Canvas {
        let mut canvas = Canvas::empty();
        let mut dice = self.fine.clone();
        for side in [-1.0, 1.0] {
            let hilum = (side * 0.15, -0.02 - 0.03 * side);
            canvas.disc(hilum, 0.10, |d| 0.13 * (1.0 - d));
            for branch in 0..8 {
                let angle = -1.35 + 0.39 * branch as f32 + 0.12 * dice.bell();
                let width = dice.between(0.016, 0.024);
                let length = dice.between(0.15, 0.22);
                let start = Point { x: hilum.0, y: hilum.1, width, density: 0.17 };
                grow(&mut canvas, start, side, angle, length, 4, &mut dice);
            }
        }
        canvas
    }
}

/// A vessel and its branches.
fn grow(
    canvas: &mut Canvas,
    from: Point,
    side: f32,
    angle: f32,
    length: f32,
    generations: u8,
    dice: &mut Dice,
) {
    let to = Point {
        x: from.x + side * length * libm::cosf(angle),
        y: from.y + length * libm::sinf(angle),
        width: from.width * 0.72,
        density: from.density * 0.78,
    };
    canvas.taper(from, to);
    if generations == 0 {
        return;
    }
    let fork = dice.between(0.25, 0.55);
    for turn in [fork, -fork] {
        let shorter = length * dice.between(0.62, 0.85);
        grow(
            canvas,
            to,
            side,
            angle + turn * dice.between(0.6, 1.2),
            shorter,
            generations - 1,
            dice,
        );
    }
}

impl Nodule {
    fn draw(&self, canvas: &mut Canvas) {
        let Lesion { radius, density } = self.lesion;
        let profile = |d: f32| density * (1.0 - d) * (1.0 + 0.6 * d);
        canvas.disc((self.x, self.y), radius, profile);
        for lobe in self.lobes {
            let off = 0.45 * radius;
            let place = (self.x + off * libm::cosf(lobe), self.y + off * libm::sinf(lobe));
            canvas.disc(place, 0.75 * radius, profile);
        }
    }
}
