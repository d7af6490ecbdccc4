#include "runtime/kernels/dispatch_plan.h"

namespace atlas {

size_t DispatchPlan::kernel(const KernelModule& module, std::vector<uint32_t> constants, uint32_t n_bindings,
                            uint32_t push_bytes, uint32_t subgroup_size) {
    for (size_t i = 0; i < kernels.size(); ++i) {
        if (kernels[i].spirv.data() == module.spirv.data() && kernels[i].spec_constants == constants &&
            kernels[i].required_subgroup_size == subgroup_size) {
            return i;
        }
    }
    kernels.push_back({.spirv = module.spirv,
                       .name = module.name,
                       .spec_constants = std::move(constants),
                       .n_bindings = n_bindings,
                       .push_bytes = push_bytes,
                       .required_subgroup_size = subgroup_size});
    return kernels.size() - 1;
}

}  // namespace atlas
