#pragma once
// Activations in double precision.

#include "runtime/ops/ops.h"

namespace atlas {

double activated(Activation activation, double g);
/// What an activated gate is multiplied with.
double factor_beside(Activation activation, double up);
/// ln(1 + exp(v)).
double softplus(double v);

}  // namespace atlas
