#include "shaders/kernel_table.h"

#include <vector>

#include "runtime/base/check.h"

namespace {
#include "kernels_spv.inc"
}

namespace atlas {

std::span<const KernelModule> kernel_modules() {
    static const std::vector<KernelModule> modules = {
#define ATLAS_KERNEL(family, weight, symbol, name) KernelModule{KernelFamily::family, WeightAxis::weight, symbol, name},
#include "kernels.inc"
#undef ATLAS_KERNEL
    };
    return modules;
}

const KernelModule& kernel_module(KernelFamily family, WeightAxis weight) {
    for (const KernelModule& module : kernel_modules()) {
        if (module.family == family && module.weight == weight) return module;
    }
    ATLAS_CHECK(false, "no module of family {} for weight {}", int(family), int(weight));
    __builtin_unreachable();
}

const KernelModule& kernel_module(KernelFamily family, Format weight) { return kernel_module(family, static_cast<WeightAxis>(weight)); }

}  // namespace atlas
