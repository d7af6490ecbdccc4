// Operations that a backend of this branch may still lack.
#include "runtime/ops/ops.h"

namespace atlas {

namespace {
[[noreturn]] void lacks(const char* name) {
    ATLAS_CHECK(false, "this backend has no {}", name);
    std::abort();
}
}  // namespace

void Ops::route(const Tensor&, const Tensor&, const RoutingParams&, const Tensor&) { lacks("route"); }
void Ops::experts_up(Activation, const ExpertMatrices&, const ExpertMatrices&, const Tensor&, const Tensor&,
                     const Tensor&) {
    lacks("experts_up");
}
void Ops::experts_down(const ExpertMatrices&, const Tensor&, const Tensor&, const Tensor&) { lacks("experts_down"); }

}  // namespace atlas
