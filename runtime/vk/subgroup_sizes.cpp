#include "runtime/vk/subgroup_sizes.h"

namespace atlas::vk {

bool has_full_subgroups(const SubgroupSizes& sizes) {
    const bool one_size = sizes.min == sizes.max && sizes.usual == sizes.max;
    return sizes.full_subgroups && (one_size || (sizes.size_control && sizes.compute_may_ask));
}

Result<uint32_t> subgroup_size_to_request(const DeviceCaps& caps, uint32_t wanted) {
    if (!caps.subgroup_size_control || wanted < caps.min_subgroup_size || wanted > caps.max_subgroup_size) {
        return fail(ErrorCode::unsupported, "needs subgroups of {}, {} offers {} to {}{}", wanted, caps.name,
                    caps.min_subgroup_size, caps.max_subgroup_size,
                    caps.subgroup_size_control ? "" : " without a choice");
    }
    return caps.min_subgroup_size == caps.max_subgroup_size ? 0 : wanted;
}

}  // namespace atlas::vk
