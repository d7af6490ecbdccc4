#include "runtime/vk/device_title.h"

namespace atlas::vk {

std::string device_title(const DeviceCaps& caps) {
    const bool is_said =
        !caps.driver_name.empty() && caps.name.starts_with(caps.driver_name) && !caps.driver_info.empty();
    return caps.name + ", " + (is_said ? caps.driver_info : caps.driver_line());
}

}  // namespace atlas::vk
