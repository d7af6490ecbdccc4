// Operations that a backend of this branch may still lack.
#include "runtime/ops/ops.h"

namespace atlas {

namespace {
[[noreturn]] void lacks(const char* name) {
    ATLAS_CHECK(false, "this backend has no {}", name);
    std::abort();
}
}  // namespace

void Ops::causal_conv(const Tensor&, const Tensor&, const Tensor&, bool, const StateTables&, const Tensor&,
                      const Tensor&) {
    lacks("causal_conv");
}
void Ops::delta_net(const DeltaNetInputs&, const DeltaNetParams&, const StateTables&, const Tensor&, const Tensor&) {
    lacks("delta_net");
}

}  // namespace atlas
