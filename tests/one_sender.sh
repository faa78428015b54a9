#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Nothing leaves for a peer before its batch is durable: in the front, one function sends, and only
# broker_release calls it (through send_output for a batch's outputs, send_parcel for answers of the front).
cd "$(dirname "$0")/.." || exit 1
awk '
/^[a-z].*\(.*/ && !/;$/ { match($0, /[a-z_0-9]+\(/); fn = substr($0, RSTART, RLENGTH - 1) }
/^[ \t]/ && /(zmq_send|zmq_msg_send|zmsg_send|zframe_send|zstr_send)\(/ && fn != "send_to" { bad = bad "\n" FILENAME ": " fn " sends" }
/^[ \t]/ && /[^a-z_]send_to\(/ && fn != "send_output" && fn != "send_parcel" { bad = bad "\n" FILENAME ": " fn " calls send_to" }
/^[ \t]/ && /[^a-z_]send_output\(/ && fn != "settle_output" { bad = bad "\n" FILENAME ": " fn " calls send_output" }
/^[ \t]/ && /[^a-z_]settle_output\(/ && fn != "broker_release" { bad = bad "\n" FILENAME ": " fn " calls settle_output" }
/^[ \t]/ && /[^a-z_]send_parcel\(/ && fn != "broker_release" { bad = bad "\n" FILENAME ": " fn " calls send_parcel" }
END { if (bad) { print "sends outside broker_release:" bad; exit 1 } }
' broker/front/front.c broker/front/front_stats.c broker/front/release.c broker/front/intake.c broker/front/roster.c || exit 1
if grep -n 'self->router\b' broker/front/*.c | grep -v '^broker/front/front.c\|^broker/front/release.c'; then exit 1; fi
echo "one sender: ok"
