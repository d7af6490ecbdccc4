// Renders chat templates for compare_templates.py: reads one JSON object a line from standard input
// ({"template": text, "context": object, "now": seconds since 1970}) and writes one a line
// ({"text": ...} or {"error": message, "raised": whether the template itself raised it}).
#include <iostream>
#include <nlohmann/json.hpp>

#include "runtime/text/chat_template.h"

int main() {
    std::string line;
    while (std::getline(std::cin, line)) {
        const auto request = nlohmann::ordered_json::parse(line);
        const auto now = std::chrono::system_clock::from_time_t(request.value("now", std::time_t{0}));
        const auto parsed = atlas::ChatTemplate::parse(request["template"].get<std::string>());
        const auto text = parsed ? parsed->render(request["context"], now) : tl::unexpected(parsed.error());
        nlohmann::ordered_json reply;
        if (text) {
            reply["text"] = *text;
        } else {
            reply["error"] = text.error().message;
            reply["raised"] = text.error().code == atlas::ErrorCode::invalid_argument;
        }
        std::cout << reply.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) << '\n';
    }
}
