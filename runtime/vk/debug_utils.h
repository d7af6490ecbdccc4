#pragma once
// VK_EXT_debug_utils of one instance. Volk's global pointers are those of the instance created last, which may lack the
// extension.

#include <volk.h>

#include <type_traits>

namespace atlas::vk {

struct DebugUtils {
    PFN_vkCreateDebugUtilsMessengerEXT create_messenger = nullptr;
    PFN_vkDestroyDebugUtilsMessengerEXT destroy_messenger = nullptr;
    PFN_vkSetDebugUtilsObjectNameEXT set_name = nullptr;
    PFN_vkCmdBeginDebugUtilsLabelEXT begin_label = nullptr;
    PFN_vkCmdEndDebugUtilsLabelEXT end_label = nullptr;

    /// `instance` was made with the extension.
    static DebugUtils of(VkInstance instance) {
        DebugUtils table;
        const auto load = [&](auto& function, const char* name) {
            function =
                reinterpret_cast<std::remove_reference_t<decltype(function)>>(vkGetInstanceProcAddr(instance, name));
        };
        load(table.create_messenger, "vkCreateDebugUtilsMessengerEXT");
        load(table.destroy_messenger, "vkDestroyDebugUtilsMessengerEXT");
        load(table.set_name, "vkSetDebugUtilsObjectNameEXT");
        load(table.begin_label, "vkCmdBeginDebugUtilsLabelEXT");
        load(table.end_label, "vkCmdEndDebugUtilsLabelEXT");
        return table;
    }
    /// Objects can be named and command buffers labelled.
    bool on() const { return create_messenger && destroy_messenger && set_name && begin_label && end_label; }
};

}  // namespace atlas::vk
