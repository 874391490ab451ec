#!/bin/sh
# Stands for cargo: notes what it is asked, and answers from the files in $ANSWERS.
printf '%s\n' "$*" >>"$ANSWERS/asked"
[ ! -e "$ANSWERS/$1.err" ] || cat "$ANSWERS/$1.err" >&2
[ ! -e "$ANSWERS/$1" ] || cat "$ANSWERS/$1"
[ ! -e "$ANSWERS/$1.err" ]
