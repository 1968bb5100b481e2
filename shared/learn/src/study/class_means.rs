//! Means over classes of the chosen classifier's figures, where several classes are modelled. They ask for nothing: intervals are
//! made of the draws that each class's own are made of.

use wardround_core::query::Labelling;

use crate::findings::{ClassMean, ClassMeans, Figures, Judged, MeansOfCells, TargetFindings};
use crate::metrics::classes;

/// The means, without intervals. `classes`: a name per class code.
pub(crate) fn of(
    labelling: Labelling,
    classes: &[String],
    targets: &[TargetFindings],
) -> ClassMeans {
    if targets.len() < 2 {
        return ClassMeans::One;
    }
    let names: Vec<&str> =
        targets.iter().map(|target| classes[usize::from(target.class)].as_str()).collect();
    let cell = |of: &dyn Fn(&Judged) -> &Figures| -> Vec<ClassMean> {
        let cells: Vec<&Figures> = targets.iter().map(|target| of(&target.nested.judged)).collect();
        classes::means(labelling, &names, &cells)
    };
    let first = &targets[0].nested.judged;
    ClassMeans::Several(MeansOfCells {
        one_list: cell(&|judged| &judged.one_list),
        by_site: (0..first.by_site.len())
            .map(|site| cell(&|judged| &judged.by_site[site]))
            .collect(),
        by_subgroup: (first.by_subgroup.iter().enumerate())
            .map(|(column, levels)| {
                (0..levels.len())
                    .map(|level| cell(&|judged| &judged.by_subgroup[column][level]))
                    .collect()
            })
            .collect(),
    })
}
