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

namespace {

const KernelModule* find(KernelFamily family, WeightAxis weight) {
    for (const KernelModule& module : kernel_modules()) {
        if (module.family == family && module.weight == weight) return &module;
    }
    return nullptr;
}

}  // namespace

const KernelModule& kernel_module(KernelFamily family, WeightAxis weight) {
    const KernelModule* module = find(family, weight);
    ATLAS_CHECK(module != nullptr, "no module of family {} for weight {}", name_of(family), int(weight));
    return *module;
}

const KernelModule& kernel_module(KernelFamily family, Format weight) { return kernel_module(family, static_cast<WeightAxis>(weight)); }

bool has_kernel(KernelFamily family, WeightAxis weight) { return find(family, weight) != nullptr; }
bool has_kernel(KernelFamily family, Format weight) { return has_kernel(family, static_cast<WeightAxis>(weight)); }

std::string_view name_of(KernelFamily family) {
    switch (family) {
#define ATLAS_KERNEL_FAMILY(name) \
    case KernelFamily::name: return #name;
#include "kernel_families.inc"
#undef ATLAS_KERNEL_FAMILY
    }
    return "?";
}

}  // namespace atlas
