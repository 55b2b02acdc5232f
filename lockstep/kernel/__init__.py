"""What every stage needs: settings, paths, files, logs, locks, the errors a user can meet.

Knows no table and no model. All stages depend on the folder as a whole, so only what all of them use is here.
Imports nothing of Lockstep's other folders.
"""
