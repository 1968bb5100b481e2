//! One loop for all fits: the points of all unfinished models, in model order, make one question, so
//! that cross-validation and tuning cost about the rounds of the slowest fit.
//!
//! A model's numbers depend only on its own answers, so a model fitted in company is the same bits
//! as fitted alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use rayon::prelude::*;
use wardround_core::query::{
    Ask, ClassWeights, Derivatives, Fill, FourierMap, FourierTerm, Frame, LinearModel, LinearTerm,
    Model, RowSet, Scaler, SoftmaxModel, SoftmaxTerm, StackTerm, Weighting,
};
use wardround_core::study::Loss;

use super::basis::Basis;
use super::{Evaluation, Optimiser, State};
use crate::cohort::Cohort;
use crate::study::StudyError;
use crate::study::asker::{Asker, finest_bits, slices};
use crate::study::event::StudyEvent;

/// Binary places that are always kept on standardised columns.
const COARSEST_BITS: u8 = 32;

/// Binary places kept free for a loss that is larger than the number of rows.
const LOSS_RESERVE: u8 = 8;

/// One model on its way to the optimum.
#[derive(Debug, Clone)]
pub(crate) struct Fit {
    /// The training rows.
    pub rows: RowSet,
    /// How many there are.
    pub count: u64,
    /// The class that counts as positive.
    pub class: u8,
    /// How much rows count.
    pub weights: ClassWeights,
    /// What its weights are of.
    pub space: Space,
    /// The part of it that the model lives in.
    pub basis: Basis,
    /// The method with its state.
    pub optimiser: Optimiser,
}

/// What a model's weights are of; all fits of a run have the same kind.
#[derive(Debug, Clone)]
pub(crate) enum Space {
    /// Features, standardised and filled so.
    Features { scaler: Scaler, fill: Fill },
    /// Random Fourier features; only the squared hinge loss is asked of them.
    Fourier(Arc<FourierMap>),
    /// Logits of members of an ensemble; only the logistic loss with its Hessian is asked of them.
    Members {
        /// The members' models, shared by all fits.
        models: Arc<Vec<Model>>,
        /// The rows, each set with one model per member.
        parts: Arc<Vec<(RowSet, Vec<u32>)>>,
    },
    /// Features, of models of all classes; only the logistic loss is asked of them.
    Softmax {
        scaler: Scaler,
        fill: Fill,
        /// How much rows count, by class.
        class_weights: Vec<f64>,
    },
}

/// Why a fit didn't reach its optimum; `fit` is its index.
#[derive(Debug)]
pub(crate) enum Failure {
    /// No optimum exists: the rows have one class.
    OneClass { fit: usize, positives: u64 },
    /// The method gave up.
    Stuck { fit: usize },
    /// The cohort didn't answer, or not to the question.
    Study(StudyError),
}

impl Space {
    /// Scaler and fill of features; `None` of random Fourier features.
    pub fn features(&self) -> Option<(&Scaler, &Fill)> {
        match self {
            Self::Features { scaler, fill } | Self::Softmax { scaler, fill, .. } => {
                Some((scaler, fill))
            }
            Self::Fourier(_) | Self::Members { .. } => None,
        }
    }
}

impl Fit {
    /// Weights and constant at the point where the loss is wanted, at the end the optimum.
    pub fn weights_and_constant(&self) -> (Vec<f64>, f64) {
        let (constant, weights) =
            self.optimiser.next_point().split_last().expect("a point has a constant");
        (self.basis.expand(weights), *constant)
    }
}

/// Takes all fits to their optimum and returns the number of rounds.
pub(crate) async fn fit_all<C: Cohort>(
    asker: &mut Asker<'_, C>,
    frame: &Arc<Frame>,
    loss: Loss,
    fits: &mut [Fit],
) -> Result<u64, Failure> {
    let most_rows = fits.iter().map(|fit| fit.count).max().unwrap_or(0);
    let bits = finest_bits(most_rows as f64 * asker.schema.weighting.most(), LOSS_RESERVE);
    let mut rounds = 0;
    loop {
        let open: Vec<usize> =
            (0..fits.len()).filter(|&i| fits[i].optimiser.state() == State::Running).collect();
        if open.is_empty() {
            return Ok(rounds);
        }
        let answers =
            evaluate(asker, (frame, loss), fits, &open, bits).await.map_err(Failure::Study)?;
        if rounds == 0 {
            check_classes(loss, asker.schema.weighting, fits, &answers)?;
        }
        rounds += 1;
        take(fits, &open, answers);
        if let Some(&fit) = open.iter().find(|&&i| fits[i].optimiser.state() == State::Stuck) {
            return Err(Failure::Stuck { fit });
        }
        asker.observer.event(&StudyEvent::Round {
            round: rounds,
            unfinished: fits.iter().filter(|f| f.optimiser.state() == State::Running).count(),
            gradient: open
                .iter()
                .map(|&i| fits[i].optimiser.gradient() / fits[i].count.max(1) as f64)
                .fold(0.0, f64::max),
        });
    }
}

async fn evaluate<C: Cohort>(
    asker: &mut Asker<'_, C>,
    (frame, loss): (&Arc<Frame>, Loss),
    fits: &[Fit],
    open: &[usize],
    bits: u8,
) -> Result<Vec<Evaluation>, StudyError> {
    // As many features, so the same for all.
    let columns = fits[open[0]].weights_and_constant().0.len() + 1;
    let derivatives = fits[open[0]].optimiser.derivatives();
    let triangle = match derivatives {
        Derivatives::Gradient => 0,
        Derivatives::Hessian => columns * (columns + 1) / 2,
    };
    let mut answers: Vec<Evaluation> = Vec::with_capacity(open.len());
    for slice in slices(open.len(), (1 + columns + triangle) as u64) {
        let points = Points::new(slice.map(|at| &fits[open[at]]));
        let answer = asker
            .ask_at(bits, COARSEST_BITS.min(bits), |bits| {
                points.clone().ask(frame.clone(), loss, derivatives, bits)
            })
            .await?;
        let gradients = answer.values("gradient");
        let hessians = if triangle > 0 { answer.values("hessian") } else { Vec::new() };
        for (at, loss) in answer.values("loss").into_iter().enumerate() {
            let basis = &fits[open[answers.len()]].basis;
            answers.push(basis.restrict_evaluation(Evaluation {
                loss,
                gradient: gradients[at * columns..(at + 1) * columns].to_vec(),
                hessian: hessians[at * triangle..(at + 1) * triangle].to_vec(),
            }));
        }
    }
    Ok(answers)
}

/// The points of some fits, as a question carries them.
#[derive(Clone, Default)]
struct Points {
    linear: Vec<LinearTerm>,
    maps: Vec<Arc<FourierMap>>,
    fourier: Vec<FourierTerm>,
    members: Vec<Model>,
    stacks: Vec<StackTerm>,
    softmax: Vec<SoftmaxTerm>,
}

impl Points {
    fn new<'a>(fits: impl Iterator<Item = &'a Fit>) -> Self {
        let mut points = Self::default();
        let mut asked = BTreeMap::new();
        for fit in fits {
            let (weights, intercept) = fit.weights_and_constant();
            let (rows, class, class_weights) = (fit.rows, fit.class, fit.weights);
            match &fit.space {
                Space::Features { scaler, fill } => {
                    let (scaler, fill) = (scaler.clone(), fill.clone());
                    let model = LinearModel { class, scaler, weights, intercept, fill };
                    points.linear.push(LinearTerm { rows, weights: class_weights, model });
                }
                Space::Softmax { scaler, fill, class_weights } => {
                    let (scaler, fill) = (scaler.clone(), fill.clone());
                    let coefficients = fit.optimiser.next_point().to_vec();
                    let model = Arc::new(SoftmaxModel { scaler, fill, coefficients });
                    let class_weights = class_weights.clone();
                    points.softmax.push(SoftmaxTerm { rows, class_weights, model });
                }
                Space::Fourier(map) => {
                    let known = points.maps.iter().position(|other| Arc::ptr_eq(other, map));
                    let at = known.unwrap_or_else(|| {
                        points.maps.push(map.clone());
                        points.maps.len() - 1
                    });
                    let map = at as u32;
                    let term = FourierTerm { rows, class_weights, class, map, weights, intercept };
                    points.fourier.push(term);
                }
                Space::Members { models, parts } => {
                    let mut ask = |&model: &u32| {
                        *asked.entry(model).or_insert_with(|| {
                            points.members.push(models[model as usize].clone());
                            points.members.len() as u32 - 1
                        })
                    };
                    let part = |(rows, members): &(RowSet, Vec<u32>)| {
                        (*rows, members.iter().map(&mut ask).collect())
                    };
                    let parts = parts.iter().map(part).collect();
                    points.stacks.push(StackTerm {
                        class,
                        class_weights,
                        parts,
                        weights,
                        intercept,
                    });
                }
            }
        }
        points
    }

    fn ask(self, frame: Arc<Frame>, loss: Loss, derivatives: Derivatives, bits: u8) -> Ask {
        let Self { linear: terms, maps, fourier, members: models, stacks, softmax } = self;
        match loss {
            _ if !stacks.is_empty() => Ask::Stack { frame, models, terms: stacks, bits },
            _ if !fourier.is_empty() => Ask::FourierHinge { frame, maps, terms: fourier, bits },
            _ if !softmax.is_empty() => Ask::Softmax { frame, terms: softmax, derivatives, bits },
            Loss::Logistic => Ask::Logistic { frame, terms, derivatives, bits },
            Loss::SquaredHinge => Ask::SquaredHinge { frame, terms, derivatives, bits },
        }
    }
}

/// Without weights of features the model says the same of every row, so the derivative by the constant counts the
/// positives.
fn check_classes(
    loss: Loss,
    weighting: Weighting,
    fits: &[Fit],
    answers: &[Evaluation],
) -> Result<(), Failure> {
    if weighting == Weighting::Given {
        // Sums of weights are no counts: whoever sets fits up has asked for those.
        return Ok(());
    }
    for (fit, (start, answer)) in fits.iter().zip(answers).enumerate() {
        if let Space::Softmax { .. } = start.space {
            // It starts from counts, and knows already.
            continue;
        }
        let ((_, constant), count) = (start.weights_and_constant(), start.count as f64);
        let by_constant = answer.gradient.last().expect("a gradient has the constant");
        // With weights: those of the negatives say how many there are of both.
        let ClassWeights { negative, positive, .. } = start.weights;
        if start.weights.is_drawn() {
            // How often rows count was drawn from counts of both classes.
            continue;
        }
        let positives = match loss {
            // (n - p) w0 s - p w1 (1 - s), s the probability.
            Loss::Logistic => {
                let s = 1.0 / (1.0 + libm::exp(-constant));
                (count * negative * s - by_constant) / (negative * s + positive * (1.0 - s))
            }
            // From a constant within the margin: 2 (n - p) w0 (1 + b) - 2 p w1 (1 - b).
            Loss::SquaredHinge => {
                (count * negative * (1.0 + constant) - by_constant / 2.0)
                    / (negative * (1.0 + constant) + positive * (1.0 - constant))
            }
        };
        let positives = positives.round() as u64;
        if positives == 0 || positives >= start.count {
            return Err(Failure::OneClass { fit, positives });
        }
    }
    Ok(())
}

/// Every model takes its own answer; no number crosses between models, so threads change nothing.
fn take(fits: &mut [Fit], open: &[usize], answers: Vec<Evaluation>) {
    let mut waiting: Vec<(&mut Fit, Evaluation)> = Vec::with_capacity(open.len());
    let mut answers = open.iter().zip(answers).peekable();
    for (i, fit) in fits.iter_mut().enumerate() {
        if let Some((_, answer)) = answers.next_if(|(at, _)| **at == i) {
            waiting.push((fit, answer));
        }
    }
    waiting.into_par_iter().for_each(|(fit, answer)| fit.optimiser.take(answer));
}

#[cfg(test)]
mod tests {
    use wardround_core::ids::{SiteId, StudyId};
    use wardround_core::query::{
        FoldPlan, FoldSet, JudgedUnit, Labelling, Schema, SiteSet, Weighting,
    };
    use wardround_core::seed::Seed;

    use super::*;
    use crate::logistic::cholesky::Cholesky;
    use crate::logistic::lbfgs::{Factor, Lbfgs};
    use crate::logistic::newton::Newton;
    use crate::logistic::proximal::{Curvature, ElasticNet, Proximal};
    use crate::logistic::{Constants, Penalty};
    use crate::rows::{Patient, Rows, RowsBuilder};
    use crate::study::event::Silent;

    const FOLDS: FoldPlan = FoldPlan { seed: Seed(1), folds: 4, repeats: 1 };

    fn rows(features: u32) -> Rows {
        let schema = Schema {
            features,
            classes: 2,
            labelling: Labelling::Single,
            weighting: Weighting::Equal,
            judged: JudgedUnit::Row,
            levels: vec![],
        };
        let mut builder = RowsBuilder::new(schema);
        for i in 0..80u64 {
            let x: Vec<f64> = (0..u64::from(features))
                .map(|j| Seed(3).uniform("x", &[&i.to_le_bytes(), &j.to_le_bytes()]) - 0.5)
                .collect();
            let noise = Seed(3).uniform("y", &[&i.to_le_bytes()]) - 0.5;
            let site = SiteId::parse(if i % 2 == 0 { "a" } else { "b" }).unwrap();
            let patient = Patient { issuer: site.to_string(), site, key: i.to_string() };
            builder.add(patient, u8::from(x[0] - x[1] + noise > 0.0), &[], &x).unwrap();
        }
        builder.build().unwrap()
    }

    fn fits(rows: &Rows, method: fn(Penalty, usize) -> Optimiser) -> Vec<Fit> {
        let d = rows.schema().features as usize;
        let column = rows.fold_column(&FOLDS, 0);
        let mut fits = Vec::new();
        for fold in 0..4 {
            for strength in [0.1, 1.0, 30.0] {
                fits.push(Fit {
                    rows: RowSet {
                        repeat: 0,
                        folds: FoldSet::all(4).without(fold),
                        sites: SiteSet::All,
                    },
                    count: column.iter().filter(|&&f| f != fold).count() as u64,
                    class: 1,
                    weights: ClassWeights::EQUAL,
                    space: Space::Features { scaler: Scaler::Folded, fill: Fill::Complete },
                    basis: Basis::Whole,
                    optimiser: method(
                        Penalty { strength: vec![strength; d], constants: Constants::Free },
                        d + 1,
                    ),
                });
            }
        }
        fits
    }

    fn run(rows: &Rows, loss: Loss, fits: &mut [Fit]) -> u64 {
        let (study, sites) = (StudyId::parse("s").unwrap(), rows.sites());
        let mut asker = Asker::new(rows, &Silent, &study, &sites, rows.schema(), FOLDS);
        let frame = Arc::new(Frame::identity(rows.schema().features as usize));
        futures::executor::block_on(fit_all(&mut asker, &frame, loss, fits)).unwrap()
    }

    #[test]
    fn in_company_is_the_same_bits_as_alone() {
        let newton: fn(Penalty, usize) -> Optimiser =
            |penalty, n| Optimiser::Newton(Newton::start(penalty, vec![0.0; n]));
        let lbfgs: fn(Penalty, usize) -> Optimiser = |penalty, n| {
            let identity: Vec<f64> =
                (0..n).flat_map(|i| (i..n).map(move |j| f64::from(u8::from(i == j)))).collect();
            let factor = Factor::Dense(Arc::new(Cholesky::of_upper(n, &identity).unwrap()));
            Optimiser::Lbfgs(Lbfgs::start(penalty, factor, vec![0.0; n], 1e-9))
        };
        let exact: fn(Penalty, usize) -> Optimiser = |penalty, n| {
            let lasso = vec![0.5; n - 1];
            let penalty = ElasticNet { strength: penalty.strength, lasso };
            Optimiser::Proximal(Proximal::start(penalty, Curvature::Asked, vec![0.0; n]))
        };
        let learned: fn(Penalty, usize) -> Optimiser = |penalty, n| {
            let identity: Vec<f64> =
                (0..n).flat_map(|i| (i..n).map(move |j| f64::from(u8::from(i == j)))).collect();
            let (gram, weight, accuracy) = (Arc::new(identity), 1.0, 1e-9);
            let curvature = Curvature::Learned { gram, weight, accuracy };
            let lasso = vec![0.5; n - 1];
            let penalty = ElasticNet { strength: penalty.strength, lasso };
            Optimiser::Proximal(Proximal::start(penalty, curvature, vec![0.0; n]))
        };
        let hinge = Loss::SquaredHinge;
        for (features, method, loss) in [
            (5, newton, Loss::Logistic),
            (5, newton, hinge),
            (70, lbfgs, Loss::Logistic),
            (70, lbfgs, hinge),
            (5, exact, Loss::Logistic),
            (70, learned, Loss::Logistic),
        ] {
            let rows = rows(features);
            let mut together = fits(&rows, method);
            let rounds = run(&rows, loss, &mut together);
            let mut slowest = 0;
            for (mut alone, in_company) in fits(&rows, method).into_iter().zip(together) {
                slowest = slowest.max(run(&rows, loss, std::slice::from_mut(&mut alone)));
                assert_eq!(alone.optimiser.next_point(), in_company.optimiser.next_point());
                assert!(alone.optimiser.next_point()[0] > 0.0);
            }
            assert_eq!(rounds, slowest);
        }
    }
}
